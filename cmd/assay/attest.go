package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/assaynet/assay/cmd/assay/terminal"
	"github.com/assaynet/assay/gpu/attest"
)

func attestCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "attest",
		Short: "Verify offline what NVIDIA's cards and switches sign of themselves",
	}
	cmd.AddCommand(attestVerifyCommand())
	return cmd
}

// attestOptions are the flags of assay attest verify.
type attestOptions struct {
	nonce, chain, at  string
	rims, ocsp, roots []string
	json              bool
	given             func(flag string) bool
}

func attestVerifyCommand() *cobra.Command {
	var o attestOptions
	cmd := &cobra.Command{
		Use:   "verify [flags] REPORT",
		Short: "Verify attestation reports: who signed them, for which nonce, and what was measured",
		Long: "Verifies the attestation reports of NVIDIA's GPUs and NVSwitches. It asks\n" +
			"nobody: it compares with the files given, and NVIDIA's roots are built in.\n\n" +
			"REPORT is a report (raw bytes, hex or base64), or a list of evidence in the JSON\n" +
			"of NVIDIA's tools, which brings its own chains and mostly nonces; - reads\n" +
			"standard input. --nonce is compared in place of a list's nonces, --chain is used\n" +
			"where a list has no chain. Without a nonce of yours a report may be an old one\n" +
			"or another's: whoever wrote a list chose its nonces too.\n\n" +
			"Five steps decide: the report parses, and does not contradict itself; its nonce\n" +
			"is the one asked for; its certificates end in NVIDIA's root; the first of them\n" +
			"signed it; it names that one's firmware. What was measured, and what is revoked,\n" +
			"only grades the evidence:\n" +
			"  none      a step does not hold, or a certificate is revoked\n" +
			"  identity  the steps hold\n" +
			"  measured  and all equals the manifests (--rim) of driver and VBIOS\n\n" +
			"Exit code 0: the five steps hold for every device, whatever the grade. 1: not.\n" +
			"2: a file cannot be opened or is in no known encoding, or wrong usage.",
		Example: "  assay attest verify --nonce 931d...dfcb --chain chain.pem report.bin\n" +
			"  assay attest verify --json evidence.json\n" +
			"  assay attest verify --rim driver.xml --rim vbios.xml evidence.json\n" +
			"  assay attest verify --ocsp 1.der --ocsp 2.der --at 2026-01-02 evidence.json\n" +
			"  assay attest verify --root simulated.pem evidence.json",
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return hinted{errors.New("attest verify: no report given"), "name a file with a report or a list of evidence; - is standard input"}
			case len(args) > 1:
				return hinted{
					fmt.Errorf("attest verify: %d reports given, want one", len(args)),
					"give --rim, --ocsp and --root once for each file; run the command once for each report",
				}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			// An empty text is no nonce: it would compare nothing, where a script's
			// variable is not set.
			o.given = cmd.Flags().Changed
			results, err := o.verify(cmd.InOrStdin(), args[0], time.Now())
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if o.json {
				err = writeJSON(out, struct {
					Devices []judged `json:"devices"`
				}{results})
			} else {
				err = printAttest(out, args[0], results, terminal.Coloured(out))
			}
			if err != nil {
				return err
			}
			if slices.ContainsFunc(results, func(j judged) bool { return j.has(attest.CodeChainMissing) }) {
				fmt.Fprintln(cmd.ErrOrStderr(), "assay: hint: --chain names the file with the certificates of reports that do not bring them")
			}
			if ids := lacking(results); len(o.rims) > 0 && len(ids) > 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "assay: hint: https://rim.attestation.nvidia.com/v1/rim/ID has manifests for --rim; no such was given: %s\n", strings.Join(ids, " "))
			}
			if slices.ContainsFunc(results, func(j judged) bool { return !j.holds }) {
				return exit(1)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.nonce, "nonce", "", "what the device was asked to sign: 64 digits of `HEX`")
	f.StringVar(&o.chain, "chain", "", "`FILE` with the device's certificates, PEM or DER")
	f.StringArrayVar(&o.rims, "rim", nil, "`FILE` with a reference manifest: XML, its base64, or JSON with it; once for each")
	f.StringArrayVar(&o.ocsp, "ocsp", nil, "`FILE` with an OCSP response, DER or base64; once for each")
	f.StringVar(&o.at, "at", "", "`TIME` or date (RFC 3339) that OCSP and RIMs are judged for")
	f.StringArrayVar(&o.roots, "root", nil, "`FILE` of roots (PEM) to trust besides NVIDIA's, as simulated")
	f.BoolVar(&o.json, "json", false, "print one JSON document")
	return cmd
}

// verify reads the files and judges what is in them. An error is of the line, or of a
// file that cannot be read; whatever else is wrong is in the results.
func (o *attestOptions) verify(stdin io.Reader, path string, now time.Time) ([]judged, error) {
	nonce, err := o.parseNonce()
	if err != nil {
		return nil, err
	}
	ref := attest.Reference{At: now}
	if o.given("at") {
		if ref.At, err = parseAt(o.at); err != nil {
			return nil, err
		}
	}
	trust, err := o.trust()
	if err != nil {
		return nil, err
	}
	var chain []byte
	if o.given("chain") {
		if chain, err = readChain(o.chain); err != nil {
			return nil, err
		}
	}
	b, err := readReport(stdin, path)
	if err != nil {
		return nil, err
	}
	left, err := o.reference(&ref, trust)
	if err != nil {
		return nil, err
	}
	list, err := attest.ParseInput(b)
	switch {
	case errors.Is(err, attest.ErrEncoding):
		return nil, unreadable(path, err, instead(b))
	case err != nil:
		return []judged{{Result: unparsed(err)}}, nil // step 1, of who knows how many devices
	}
	results := make([]judged, 0, len(list))
	for _, e := range list {
		own := nonce == nil
		if nonce != nil {
			e.Nonce = nonce
		}
		if len(e.Chain) == 0 {
			e.Chain = chain
		}
		results = append(results, judge(e, trust, ref, own, left))
	}
	return results, nil
}

// unreadable is an error of a file in no known encoding.
func unreadable(path string, err error, hint string) error {
	return hinted{usageError{fmt.Errorf("%s: %w", path, err)}, hint}
}

// parseNonce reads --nonce; nil if it was not given.
func (o *attestOptions) parseNonce() (*[32]byte, error) {
	if !o.given("nonce") {
		return nil, nil
	}
	b, err := hex.DecodeString(strings.TrimPrefix(o.nonce, "0x"))
	if err != nil || len(b) != 32 {
		return nil, hinted{usageError{fmt.Errorf("--nonce %.80q: want 64 hex digits", o.nonce)}, "it is the 32 bytes that the device was asked to sign"}
	}
	return (*[32]byte)(b), nil
}

// parseAt reads a time, or a date, which begins at midnight UTC.
func parseAt(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, hinted{usageError{fmt.Errorf("--at %.80q: no time", text)}, "want a time such as 2026-01-02T15:04:05Z, or a date such as 2026-01-02"}
}
