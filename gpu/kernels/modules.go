package kernels

import _ "embed"

//go:embed sm_75.ptx
var sm75 string

//go:embed sm_80.ptx
var sm80 string

//go:embed sm_90a.ptx
var sm90a string

//go:embed sm_75.cubin.gz
var cubin75 []byte

//go:embed sm_80.cubin.gz
var cubin80 []byte

//go:embed sm_90a.cubin.gz
var cubin90a []byte

// all lists the modules, the best first. The geometries are those of c/matmul.h.
func all() []Module {
	return []Module{
		{Target: "sm_90a", PTX: sm90a, cubin: cubin90a, Major: 9, Exact: true, Products: [2]Geometry{
			Int8:  {Threads: 288, Shared: 196672, Rows: 128, Cols: 256},
			Short: {Threads: 288, Shared: 196672, Rows: 128, Cols: 256},
		}},
		{Target: "sm_80", PTX: sm80, cubin: cubin80, Major: 8, Products: [2]Geometry{
			Int8:  {Threads: 256, Shared: 98304, Rows: 128, Cols: 256},
			Short: {Threads: 256, Shared: 98304, Rows: 128, Cols: 256},
		}},
		{Target: "sm_75", PTX: sm75, cubin: cubin75, Major: 7, Minor: 5, Half: true, Products: [2]Geometry{
			Int8:  {Threads: 256, Shared: 49152, Rows: 128, Cols: 256},
			Short: {Threads: 256, Shared: 49152, Rows: 128, Cols: 256},
		}},
	}
}
