package bench

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module = "github.com/assaynet/assay/"
	proofs = "challenges challenges/simd challenges/memory challenges/receipt challenges/identity challenges/notice gpu/models gpu/attest gpu/telemetry checker/committee checker/evidence checker/report"
	pure   = proofs + " checker/sla checker/reputation"
	device = "challenges challenges/commit challenges/simd challenges/fma challenges/memory gpu/models gpu/telemetry gpu/attest"
	shell  = " gpu gpu/worker prover prover/control prover/selftest p2p store checker checker/client checker/api checker/mcp store/spool"
)

// layers says which packages of this module each package may import. A package without a row is an error,
// which also keeps out internal, pkg, util, common and types.
var layers = map[string]string{
	"challenges": "challenges/simd challenges/commit challenges/fma challenges/memory", "challenges/simd": "",
	"challenges/commit": "challenges/simd", "challenges/fma": "challenges/simd", "challenges/memory": "challenges/simd",
	"challenges/receipt": "challenges", "challenges/identity": "challenges", "challenges/notice": "challenges", "gpu/models": "", "gpu/attest": "gpu/attest/xmldsig", "gpu/attest/xmldsig": "", "gpu/attest/synthetic": "gpu/attest gpu/attest/xmldsig",
	"gpu/telemetry":     "gpu/models",
	"checker/committee": "challenges challenges/memory",
	"checker/evidence":  "challenges challenges/memory challenges/identity gpu/models gpu/attest gpu/telemetry",
	"checker/report":    "challenges challenges/memory checker/committee checker/evidence",
	"checker/sla":       proofs, "checker/reputation": proofs + " checker/sla",

	"gpu": device, "gpu/exam": device + " gpu", "gpu/kernels": "", "gpu/kernels/ptx": "gpu/kernels/ptx/scalar gpu/kernels/ptx/syntax gpu/kernels/ptx/tile", "gpu/kernels/ptx/scalar": "",
	"gpu/kernels/ptx/syntax": "gpu/kernels/ptx/scalar", "gpu/kernels/ptx/tile": "gpu/kernels/ptx/scalar", "gpu/kernels/source": "", "gpu/kernels/build": "gpu/kernels/source",
	"gpu/cuda": device + " gpu gpu/exam gpu/kernels gpu/cuda/driver gpu/cuda/cublaslt", "gpu/cuda/dl": "", "gpu/cuda/cublaslt": "gpu/cuda/dl",
	"gpu/cuda/driver": "gpu/models gpu/cuda/dl", "gpu/cuda/fakecuda": "gpu/cuda/dl", "gpu/nvml": device + " gpu", "gpu/nvml/fakenvml": "", "gpu/worker": device + " gpu",
	"prover": device + " gpu checker/committee challenges/receipt challenges/identity prover/why", "prover/why": "challenges challenges/receipt gpu gpu/telemetry", "prover/control": "challenges challenges/receipt prover gpu gpu/telemetry",
	"prover/selftest": device + " gpu gpu/exam", "prover/cheat": "prover gpu gpu/models challenges challenges/fma challenges/memory challenges/simd",
	"p2p": "challenges", "store": pure + " store/disk store/inspect store/table", "store/disk": "", "store/inspect": pure + " store/table",
	"store/table": "challenges checker/report", "store/spool": "", "checker": pure, "checker/client": pure,
	"checker/api": pure + " checker/client", "checker/mcp": pure + " checker/client",

	"cmd/node": pure + shell + " cmd/node/file cmd/node/trust", "cmd/node/file": "", "cmd/node/trust": "checker/evidence gpu/attest", "cmd/devnet": pure + shell + " prover/cheat gpu/attest/synthetic cmd/node cmd/node/file cmd/node/trust",
	"cmd/assay": pure + " checker/client cmd/assay/terminal cmd/node cmd/node/file cmd/node/trust cmd/devnet", "cmd/assay/terminal": "",
	"cmd/assay-gpu": pure + shell + " gpu/exam gpu/kernels gpu/cuda gpu/cuda/driver gpu/nvml", "bench": "",
}

// drivers are the modules that load NVIDIA's libraries, and who may.
var drivers = map[string]string{
	"github.com/ebitengine/purego": "gpu/cuda/dl", "github.com/NVIDIA/go-nvml": "gpu/nvml",
}

var (
	// But for net/netip: values and parsers of text, no network.
	impure = regexp.MustCompile(`^(net|os|log)(/|$)|^github\.com/(libp2p|cockroachdb)/`)
	clock  = regexp.MustCompile(`^(Now|Since|Until|Sleep|After|AfterFunc|Tick|NewTimer|NewTicker)$`)
)

func has(list, name string) bool { return slices.Contains(strings.Fields(list), name) }

// TestLayers reads sources rather than go list's answer: it then sees the files of every platform, and go test's
// cache knows which files the result hangs on.
func TestLayers(t *testing.T) {
	lines := map[string]int{}
	err := filepath.WalkDir("..", func(file string, d fs.DirEntry, err error) error {
		switch name := d.Name(); {
		case err != nil:
			return err
		case d.IsDir() && file != ".." && (name[0] == '.' || name[0] == '_' || name == "testdata"):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		pkg := strings.TrimPrefix(path.Dir(filepath.ToSlash(file)), "../")
		if _, ok := layers[pkg]; !ok {
			t.Errorf("%s: package %s has no row in layers", file, pkg)
		}
		if strings.HasSuffix(file, "_test.go") {
			return nil
		}
		src, err := os.ReadFile(file)
		n := bytes.Count(src, []byte("\n"))
		if lines[pkg] += n; n > 400 || pkg == "bench" {
			t.Errorf("%s: %d lines, at most 400 (in bench only tests)", file, n)
		}
		if err == nil {
			err = checkFile(t, pkg, file, src)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg, n := range lines {
		if n > 3000 {
			t.Errorf("%s: %d lines without tests, at most 3000", pkg, n)
		}
	}
}

func checkFile(t *testing.T, pkg, file string, src []byte) error {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, file, src, 0)
	if err != nil || f.Name.Name == "main" && !strings.HasPrefix(pkg, "cmd/") { // a generator
		return err
	}
	bad := func(n ast.Node, format string, args ...any) {
		t.Errorf("%s: %s: %s", fset.Position(n.Pos()), pkg, fmt.Sprintf(format, args...))
	}
	for _, imp := range f.Imports {
		name, _ := strconv.Unquote(imp.Path.Value)
		if in, ok := strings.CutPrefix(name, module); ok && !has(layers[pkg], in) {
			bad(imp, "may not import %s", in)
		}
		for mod, by := range drivers {
			if strings.HasPrefix(name, mod) && !has(by, pkg) {
				bad(imp, "may not import %s", name)
			}
		}
		if has(pure, pkg) && (impure.MatchString(name) && name != "net/netip" || name == "time" && imp.Name != nil) {
			bad(imp, "pure, may not import or rename %s", name)
		}
	}
	if !has(pure, pkg) {
		return nil
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			bad(n, "pure, may not start a goroutine")
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if n.Sel.Name == "Go" || ok && x.Name == "time" && clock.MatchString(n.Sel.Name) {
				bad(n, "pure, may not use %s", n.Sel.Name)
			}
		}
		return true
	})
	return nil
}
