module sealos-istio/tools/machine

go 1.25.0
