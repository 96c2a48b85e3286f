// Package gonvml stands in for the bindings to NVIDIA's management library, which need cgo: it finds no such library.
package gonvml

import (
	"errors"
	"time"
)

var errAbsent = errors.New("NVML is not in this build")

// Device is a card; there is none.
type Device struct{}

// Initialize fails, which kubelet takes for a machine without NVIDIA's library.
func Initialize() error { return errAbsent }

// Shutdown ends nothing.
func Shutdown() error { return nil }

// DeviceCount fails.
func DeviceCount() (uint, error) { return 0, errAbsent }

// DeviceHandleByIndex fails.
func DeviceHandleByIndex(uint) (Device, error) { return Device{}, errAbsent }

// MinorNumber fails.
func (Device) MinorNumber() (uint, error) { return 0, errAbsent }

// Name fails.
func (Device) Name() (string, error) { return "", errAbsent }

// UUID fails.
func (Device) UUID() (string, error) { return "", errAbsent }

// MemoryInfo fails.
func (Device) MemoryInfo() (uint64, uint64, error) { return 0, 0, errAbsent }

// AverageGPUUtilization fails.
func (Device) AverageGPUUtilization(time.Duration) (uint, error) { return 0, errAbsent }
