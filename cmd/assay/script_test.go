package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets scripts run the real program as the command assay.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"assay": main})
}

func TestScripts(t *testing.T) {
	params := testscript.Params{
		Dir: "testdata",
		Condition: func(cond string) (bool, error) {
			return cond == "long" && !testing.Short(), nil
		},
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
	}
	testscript.Run(t, params)
}
