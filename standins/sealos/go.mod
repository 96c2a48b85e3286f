module sealos-istio/standins/sealos

go 1.25.0

require (
	github.com/pkg/sftp v1.13.10
	github.com/spf13/cobra v1.10.1
	golang.org/x/crypto v0.47.0
	gopkg.in/yaml.v3 v3.0.1
)

require (
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/kr/fs v0.1.0 // indirect
	github.com/spf13/pflag v1.0.10 // indirect
	golang.org/x/sys v0.40.0 // indirect
)
