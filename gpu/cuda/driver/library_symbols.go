package driver

import (
	"fmt"
	"strings"

	"github.com/assaynet/assay/gpu/cuda/dl"
)

// symbol is a function of the driver.
type symbol struct {
	name string
	at   uintptr // 0: the driver has none
}

// symbols are the functions that this package calls.
type symbols struct {
	init, driverGetVersion, getErrorName                                   symbol
	deviceGetCount, deviceGet, deviceGetName, deviceGetUUID, deviceGetPCI  symbol
	deviceTotalMem, deviceGetAttribute                                     symbol
	primaryCtxSetFlags, primaryCtxRetain, primaryCtxRelease, ctxSetCurrent symbol
	moduleLoadDataEx, moduleUnload, moduleGetFunction, funcSetAttribute    symbol
	launchKernel                                                           symbol
	memGetInfo, memAlloc, memFree, memHostAlloc, memFreeHost               symbol
	memcpyHtoD, memcpyDtoH, memcpyDtoD                                     symbol
	streamCreate, streamCreateWithPriority, streamDestroy, streamWaitEvent symbol
	eventCreate, eventDestroy, eventRecord, eventQuery, eventElapsedTime   symbol
}

// resolve looks every function up once. cuda.h renames some functions by macros:
// what is exported, and has its present meaning, is the name with the suffix.
// After the first name come older ones that do the same for us.
func resolve(lib uintptr) (symbols, error) {
	var s symbols
	var missing []string
	find := func(to *symbol, optional bool, names ...string) {
		for _, name := range names {
			if at := dl.Symbol(lib, name); at != 0 {
				*to = symbol{name, at}
				return
			}
		}
		*to = symbol{name: names[0]}
		if !optional {
			missing = append(missing, names[0])
		}
	}
	need := func(to *symbol, names ...string) { find(to, false, names...) }
	need(&s.init, "cuInit")
	need(&s.driverGetVersion, "cuDriverGetVersion")
	find(&s.getErrorName, true, "cuGetErrorName")
	need(&s.deviceGetCount, "cuDeviceGetCount")
	need(&s.deviceGet, "cuDeviceGet")
	need(&s.deviceGetName, "cuDeviceGetName")
	find(&s.deviceGetUUID, true, "cuDeviceGetUuid_v2", "cuDeviceGetUuid")
	find(&s.deviceGetPCI, true, "cuDeviceGetPCIBusId")
	need(&s.deviceTotalMem, "cuDeviceTotalMem_v2")
	need(&s.deviceGetAttribute, "cuDeviceGetAttribute")
	find(&s.primaryCtxSetFlags, true, "cuDevicePrimaryCtxSetFlags_v2", "cuDevicePrimaryCtxSetFlags")
	need(&s.primaryCtxRetain, "cuDevicePrimaryCtxRetain")
	need(&s.primaryCtxRelease, "cuDevicePrimaryCtxRelease_v2", "cuDevicePrimaryCtxRelease")
	need(&s.ctxSetCurrent, "cuCtxSetCurrent")
	need(&s.moduleLoadDataEx, "cuModuleLoadDataEx")
	need(&s.moduleUnload, "cuModuleUnload")
	need(&s.moduleGetFunction, "cuModuleGetFunction")
	need(&s.funcSetAttribute, "cuFuncSetAttribute")
	need(&s.launchKernel, "cuLaunchKernel")
	need(&s.memGetInfo, "cuMemGetInfo_v2")
	need(&s.memAlloc, "cuMemAlloc_v2")
	need(&s.memFree, "cuMemFree_v2")
	need(&s.memHostAlloc, "cuMemHostAlloc")
	need(&s.memFreeHost, "cuMemFreeHost")
	need(&s.memcpyHtoD, "cuMemcpyHtoDAsync_v2")
	need(&s.memcpyDtoH, "cuMemcpyDtoHAsync_v2")
	need(&s.memcpyDtoD, "cuMemcpyDtoDAsync_v2")
	need(&s.streamCreate, "cuStreamCreate")
	find(&s.streamCreateWithPriority, true, "cuStreamCreateWithPriority")
	need(&s.streamDestroy, "cuStreamDestroy_v2")
	need(&s.streamWaitEvent, "cuStreamWaitEvent")
	need(&s.eventCreate, "cuEventCreate")
	need(&s.eventDestroy, "cuEventDestroy_v2")
	need(&s.eventRecord, "cuEventRecord")
	need(&s.eventQuery, "cuEventQuery")
	need(&s.eventElapsedTime, "cuEventElapsedTime")
	if len(missing) == 0 {
		return s, nil
	}
	version := "of unknown version"
	if s.driverGetVersion.at != 0 {
		l := Library{sym: s}
		if v, err := l.Version(); err == nil {
			version = fmt.Sprintf("for CUDA %d.%d", v/1000, v%1000/10)
		}
	}
	return s, fmt.Errorf("%w: driver %s lacks %s", ErrNoDriver, version, strings.Join(missing, ", "))
}
