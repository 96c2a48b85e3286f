module sealos-istio/standins/machine

go 1.25.0
