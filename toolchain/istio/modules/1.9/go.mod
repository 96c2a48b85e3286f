module sealos-istio/tools/istio-1.9

go 1.22.0

require istio.io/istio v0.0.0-20210423173126-13fb8ac89420

require github.com/go-bindata/go-bindata v3.1.2+incompatible

replace github.com/spf13/viper => github.com/istio/viper v1.3.3-0.20190515210538-2789fed3109c
replace github.com/chzyer/logex => github.com/chzyer/logex v1.1.11-0.20170329064859-445be9e134b2
replace github.com/docker/distribution => github.com/docker/distribution v2.7.1+incompatible
replace github.com/Microsoft/hcsshim => github.com/Microsoft/hcsshim v0.8.8-0.20200421182805-c3e488f0d815
replace github.com/imdario/mergo => github.com/imdario/mergo v0.3.5
replace github.com/evanphx/json-patch => github.com/evanphx/json-patch v0.0.0-20190815234213-e83c0a1c26c8
replace k8s.io/kube-openapi => github.com/howardjohn/kube-openapi v0.0.0-20210104181841-c0b40d2cb1c8

// what Go 1.26 and this network need
replace (
	github.com/json-iterator/go => github.com/json-iterator/go v1.1.12
	github.com/modern-go/reflect2 => github.com/modern-go/reflect2 v1.0.2
	golang.org/x/crypto => golang.org/x/crypto v0.31.0
	golang.org/x/net => golang.org/x/net v0.33.0
	golang.org/x/sync => golang.org/x/sync v0.10.0
	golang.org/x/sys => golang.org/x/sys v0.30.0
	golang.org/x/text => golang.org/x/text v0.21.0
	golang.org/x/tools => golang.org/x/tools v0.28.0
	vbom.ml/util => github.com/fvbommel/util v0.0.2
)
