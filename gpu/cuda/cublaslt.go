package cuda

import (
	"context"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/gpu/cuda/cublaslt"
	"github.com/assaynet/assay/gpu/cuda/driver"
)

// library makes products with cuBLASLt: where a toolkit is installed it may be the
// faster one.
type library struct{ lt *cublaslt.Library }

// libraries are the makers of a flavour beside the kernels.
func (d *Device) libraries(ctx context.Context, t *trial, cfg Config, f challenges.Flavour) []maker {
	if cfg.CUBLASLt == "none" || t.err != nil {
		return nil
	}
	if d.lt == nil && !d.noLt {
		err := d.thread.Do(ctx, func(*driver.Calls) (err error) {
			d.lt, err = cublaslt.Load(cfg.CUBLASLt, d.program.Half)
			return err
		})
		if err != nil {
			d.noLt = true
			d.log.DebugContext(ctx, "cuBLASLt is not used", "err", err)
		}
	}
	if d.noLt {
		return nil
	}
	return []maker{library{d.lt}}
}

func (library) name() string { return "cublasLt" }

func (library) kernel(challenges.Flavour) string { return "cublasLt" }

func (library) tiled() bool { return false }

func (library) rows() int { return tileLines }

func (library) scratch() uint64 { return cublaslt.Scratch }

// multiply gives what the kernels give: exact int32.
func (l library) multiply(q queue, p product) error {
	short := p.flavour == challenges.BF16
	err := l.lt.Multiply(uintptr(q.s), cublaslt.Product{
		A: uint64(p.a), B: uint64(p.b), C: uint64(p.c), Scratch: uint64(p.scratch), M: p.m, N: p.n, Line: p.lines.line, Short: short,
	})
	if err != nil || !short {
		return err
	}
	return q.integers(p.c, uint64(p.m)*uint64(p.n))
}
