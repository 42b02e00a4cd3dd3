package main

import "os"

// driverEnv is what the driver is to find in its environment, where nobody has set it:
// cards numbered as nvidia-smi numbers them, not the fastest first, and no kernel's
// code loaded before it is used, of which a library like cuBLASLt has gigabytes.
func driverEnv() (missing []string) {
	for _, v := range [][2]string{{"CUDA_DEVICE_ORDER", "PCI_BUS_ID"}, {"CUDA_MODULE_LOADING", "LAZY"}} {
		if _, ok := os.LookupEnv(v[0]); !ok {
			missing = append(missing, v[0]+"="+v[1])
		}
	}
	return missing
}
