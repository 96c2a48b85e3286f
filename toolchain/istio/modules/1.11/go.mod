module sealos-istio/tools/istio-1.11

go 1.22.0

require istio.io/istio v0.0.0-20211013140753-9f6f03276054

replace github.com/spf13/viper => github.com/istio/viper v1.3.3-0.20190515210538-2789fed3109c
replace github.com/chzyer/logex => github.com/chzyer/logex v1.1.11-0.20170329064859-445be9e134b2
replace github.com/docker/distribution => github.com/docker/distribution v0.0.0-20191216044856-a8371794149d
replace github.com/docker/docker => github.com/moby/moby v17.12.0-ce-rc1.0.20200618181300-9dc6525e6118+incompatible
replace github.com/imdario/mergo => github.com/imdario/mergo v0.3.5

// libraries that can't be had any more at the versions named there: the release's own tag, and what was there when it was branched off
replace (
	istio.io/client-go => istio.io/client-go v1.11.4
	istio.io/gogo-genproto => istio.io/gogo-genproto v0.0.0-20210802150430-d27771a94902
	istio.io/pkg => istio.io/pkg v0.0.0-20210723181842-d0e26aec6f00
)

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
