// Package cublaslt makes exact products with NVIDIA's library where a toolkit is
// installed. Without it nothing is missing. The functions and numbers are those of
// cublasLt.h, alike in CUDA 11 to 13.
package cublaslt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"unsafe"

	"github.com/assaynet/assay/gpu/cuda/dl"
)

// Library is the library, on the thread whose context is current. Its methods are for
// that thread alone.
type Library struct {
	handle uintptr
	half   bool
	plans  map[shape]*plan // of the thread

	matmul, destroy, descCreate, descSet, descDestroy, layoutCreate, layoutDestroy, prefCreate, prefSet, prefDestroy, heuristic uintptr
}

// shape is what a plan is for.
type shape struct {
	short   bool
	m, n, k int
}

// plan is how the library makes a product of a shape.
type plan struct {
	desc    uintptr
	layouts [3]uintptr // of our B, our A, and C
	found   heuristic
}

// heuristic is cublasLtMatmulHeuristicResult_t.
type heuristic struct {
	algo      [8]uint64
	workspace uint64
	state     int32
	waves     float32
	_         [4]int32
}

// Numbers of cublasLt.h, cublas_api.h and library_types.h.
const (
	transA       = 3  // CUBLASLT_MATMUL_DESC_TRANSA
	opT          = 1  // CUBLAS_OP_T
	maxWorkspace = 1  // CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES
	compute32F   = 68 // CUBLAS_COMPUTE_32F
	compute32I   = 72 // CUBLAS_COMPUTE_32I
	r32F         = 0
	r16F         = 2
	r8I          = 3
	r32I         = 10
	r16BF        = 14
)

// Scratch is the memory that a product needs beside, in bytes: what NVIDIA recommends
// for Hopper; others need less.
const Scratch = 32 << 20

// paths are where the library may stand.
func paths(configured string) []string {
	if configured != "" {
		return []string{configured}
	}
	dirs := []string{""}
	if found, err := filepath.Glob("/usr/local/cuda*/lib64"); err == nil {
		dirs = append(dirs, found...)
	}
	if conda := os.Getenv("CONDA_PREFIX"); conda != "" {
		dirs = append(dirs, filepath.Join(conda, "lib"))
	}
	var out []string
	for _, version := range []string{"13", "12", "11"} {
		for _, dir := range dirs {
			out = append(out, filepath.Join(dir, "libcublasLt.so."+version))
		}
	}
	return out
}

// Load loads the library from a path, or from where systems have it for "". half says
// that 16-bit operands are binary16, else bfloat16. The error says that there is none.
func Load(configured string, half bool) (*Library, error) {
	var errs []error
	for _, path := range paths(configured) {
		lib, err := dl.Open(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		lt := &Library{half: half, plans: map[shape]*plan{}}
		var create uintptr
		for name, at := range map[string]*uintptr{
			"cublasLtCreate": &create, "cublasLtDestroy": &lt.destroy, "cublasLtMatmul": &lt.matmul,
			"cublasLtMatmulDescCreate": &lt.descCreate, "cublasLtMatmulDescSetAttribute": &lt.descSet,
			"cublasLtMatmulDescDestroy": &lt.descDestroy, "cublasLtMatrixLayoutCreate": &lt.layoutCreate,
			"cublasLtMatrixLayoutDestroy": &lt.layoutDestroy, "cublasLtMatmulPreferenceCreate": &lt.prefCreate,
			"cublasLtMatmulPreferenceSetAttribute": &lt.prefSet, "cublasLtMatmulPreferenceDestroy": &lt.prefDestroy,
			"cublasLtMatmulAlgoGetHeuristic": &lt.heuristic,
		} {
			if *at = dl.Symbol(lib, name); *at == 0 {
				err = fmt.Errorf("%s: it lacks %s", path, name)
			}
		}
		if err == nil {
			err = failure("cublasLtCreate", dl.Call(create, uintptr(unsafe.Pointer(&lt.handle))))
		}
		if err == nil {
			return lt, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func failure(call string, status uintptr) error {
	if int32(status) == 0 {
		return nil
	}
	return fmt.Errorf("%s: status %d", call, int32(status))
}

// Product is a matrix C of m rows and n columns: A has m lines of so many bytes, B n
// lines, both int8, or 16-bit floating point if Short.
type Product struct {
	A, B, C, Scratch uint64 // addresses on the card
	M, N, Line       int
	Short            bool // C is binary32, else int32
}

// Multiply queues a product on a stream. C by rows is its transpose by columns, so the
// library makes C' = B' A' from our B, K x N by columns, and our A, K x M by columns.
func (lt *Library) Multiply(stream uintptr, p Product) error {
	plan, err := lt.plan(shape{p.Short, p.M, p.N, p.Line})
	if err != nil {
		return err
	}
	// One and zero, as int32 and as binary32.
	one, zero := uint32(1), uint32(0)
	if p.Short {
		one = 0x3f800000
	}
	return failure("cublasLtMatmul", dl.Call(lt.matmul, lt.handle, plan.desc, uintptr(unsafe.Pointer(&one)),
		uintptr(p.B), plan.layouts[0], uintptr(p.A), plan.layouts[1], uintptr(unsafe.Pointer(&zero)),
		uintptr(p.C), plan.layouts[2], uintptr(p.C), plan.layouts[2], uintptr(unsafe.Pointer(&plan.found.algo)),
		uintptr(p.Scratch), Scratch, stream))
}

// plan finds how to make a shape, once.
func (lt *Library) plan(s shape) (*plan, error) {
	if p := lt.plans[s]; p != nil {
		return p, nil
	}
	in, sum, compute, width := uintptr(r8I), uintptr(r32I), uintptr(compute32I), 1
	if s.short {
		in, sum, compute, width = r16BF, r32F, compute32F, 2
		if lt.half {
			in = r16F
		}
	}
	k := uintptr(s.k / width)
	m, n := uintptr(s.m), uintptr(s.n)
	p := &plan{}
	trans, scratch := int32(opT), uint64(Scratch)
	var pref uintptr
	var found int32
	steps := []func() error{
		func() error {
			return failure("cublasLtMatmulDescCreate", dl.Call(lt.descCreate, uintptr(unsafe.Pointer(&p.desc)), compute, sum))
		},
		func() error {
			return failure("cublasLtMatmulDescSetAttribute", dl.Call(lt.descSet, p.desc, transA, uintptr(unsafe.Pointer(&trans)), 4))
		},
		func() error { return lt.layout(&p.layouts[0], in, k, n) },
		func() error { return lt.layout(&p.layouts[1], in, k, m) },
		func() error { return lt.layout(&p.layouts[2], sum, n, m) },
		func() error {
			return failure("cublasLtMatmulPreferenceCreate", dl.Call(lt.prefCreate, uintptr(unsafe.Pointer(&pref))))
		},
		func() error {
			return failure("cublasLtMatmulPreferenceSetAttribute", dl.Call(lt.prefSet, pref, maxWorkspace, uintptr(unsafe.Pointer(&scratch)), 8))
		},
		func() error {
			return failure("cublasLtMatmulAlgoGetHeuristic", dl.Call(lt.heuristic, lt.handle, p.desc, p.layouts[0], p.layouts[1],
				p.layouts[2], p.layouts[2], pref, 1, uintptr(unsafe.Pointer(&p.found)), uintptr(unsafe.Pointer(&found))))
		},
	}
	var err error
	for _, step := range steps {
		if err = step(); err != nil {
			break
		}
	}
	if pref != 0 {
		dl.Call(lt.prefDestroy, pref)
	}
	if err == nil && (found < 1 || p.found.state != 0) {
		err = fmt.Errorf("cublasLt: no way to make %d x %d x %d", s.m, s.n, k)
	}
	if err != nil {
		lt.drop(p)
		return nil, err
	}
	lt.plans[s] = p
	return p, nil
}

// layout describes a matrix by columns.
func (lt *Library) layout(out *uintptr, kind, rows, cols uintptr) error {
	return failure("cublasLtMatrixLayoutCreate", dl.Call(lt.layoutCreate, uintptr(unsafe.Pointer(out)), kind, rows, cols, rows))
}

func (lt *Library) drop(p *plan) {
	for _, l := range p.layouts {
		if l != 0 {
			dl.Call(lt.layoutDestroy, l)
		}
	}
	if p.desc != 0 {
		dl.Call(lt.descDestroy, p.desc)
	}
}

// Close gives back what the library has; on the thread.
func (lt *Library) Close() error {
	for _, p := range lt.plans {
		lt.drop(p)
	}
	return failure("cublasLtDestroy", dl.Call(lt.destroy, lt.handle))
}
