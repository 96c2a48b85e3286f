package remote

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/retry"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"sealos-istio/standins/pulumi-resource-command/internal/standin"
)

const (
	defaultUser           = "root"
	defaultPort           = 22
	defaultDialErrorLimit = 10
	defaultPerDialTimeout = 15
)

// Endpoint is where and as whom to log in.
type Endpoint struct {
	User               *string  `pulumi:"user,optional"`
	Password           *string  `pulumi:"password,optional"`
	Host               *string  `pulumi:"host"`
	Port               *float64 `pulumi:"port,optional"`
	PrivateKey         *string  `pulumi:"privateKey,optional"`
	PrivateKeyPassword *string  `pulumi:"privateKeyPassword,optional"`
	AgentSocketPath    *string  `pulumi:"agentSocketPath,optional"`
	DialErrorLimit     *int     `pulumi:"dialErrorLimit,optional"`
	PerDialTimeout     *int     `pulumi:"perDialTimeout,optional"`
	HostKey            *string  `pulumi:"hostKey,optional"`
}

func (e *Endpoint) annotate(a infer.Annotator) {
	a.Describe(&e.User, "User to log in as.")
	a.SetDefault(&e.User, defaultUser)
	a.Describe(&e.Password, "Password of the user.")
	a.Describe(&e.Host, "Address to connect to.")
	a.Describe(&e.Port, "Port to connect to.")
	a.SetDefault(&e.Port, defaultPort)
	a.Describe(&e.PrivateKey, "Private key, tried before the password.")
	a.Describe(&e.PrivateKeyPassword, "Passphrase of the private key.")
	a.Describe(&e.AgentSocketPath, "Socket of an SSH agent; SSH_AUTH_SOCK by default.")
	a.Describe(&e.DialErrorLimit, "How many failed attempts are followed by another one; -1 for no limit.")
	a.SetDefault(&e.DialErrorLimit, defaultDialErrorLimit)
	a.Describe(&e.PerDialTimeout, "Seconds that one TCP connect may take; 0 for no limit. The log-in has no limit.")
	a.SetDefault(&e.PerDialTimeout, defaultPerDialTimeout)
	a.Describe(&e.HostKey, "The one host key to accept, as in known_hosts without the name; without it any key is accepted.")
}

// Connection is how a host is reached.
type Connection struct {
	Endpoint
	Proxy *ProxyConnection `pulumi:"proxy,optional"`
}

// Annotate describes the connection and sets its defaults.
func (c *Connection) Annotate(a infer.Annotator) {
	a.Describe(&c, "How to reach and log in to a host.")
	c.annotate(a)
	a.Describe(&c.Proxy, "A bastion to go through.")
}

// ProxyConnection is how a bastion is reached.
type ProxyConnection struct{ Endpoint }

// Annotate describes the connection and sets its defaults.
func (c *ProxyConnection) Annotate(a infer.Annotator) {
	a.Describe(&c, "How to reach and log in to a bastion.")
	c.annotate(a)
}

func (e *Endpoint) address() string {
	port := defaultPort
	if e.Port != nil {
		port = int(*e.Port)
	}
	return net.JoinHostPort(*e.Host, strconv.Itoa(port))
}

func (e *Endpoint) dialErrorLimit() int {
	if e.DialErrorLimit == nil {
		return defaultDialErrorLimit
	}
	return *e.DialErrorLimit
}

// clientConfig fails at once on a key that cannot be read and on an agent that does not answer.
func (e *Endpoint) clientConfig() (*ssh.ClientConfig, error) {
	config := &ssh.ClientConfig{
		User: defaultUser,
		// A habit of the real one: no hostKey, no check.
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), //nolint:gosec
		Timeout:         defaultPerDialTimeout * time.Second,
	}
	if e.User != nil {
		config.User = *e.User
	}
	if e.PerDialTimeout != nil {
		config.Timeout = time.Duration(*e.PerDialTimeout) * time.Second
	}
	if e.HostKey != nil {
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(*e.HostKey))
		if err != nil {
			return nil, fmt.Errorf("failed to parse host key: %w", err)
		}
		config.HostKeyCallback = ssh.FixedHostKey(key)
	}
	if e.PrivateKey != nil {
		signer, err := e.signer()
		if err != nil {
			return nil, err
		}
		config.Auth = append(config.Auth, ssh.PublicKeys(signer))
	}
	if e.Password != nil {
		password := *e.Password
		config.Auth = append(config.Auth, ssh.Password(password),
			ssh.KeyboardInteractive(func(_, _ string, questions []string, _ []bool) ([]string, error) {
				answers := make([]string, len(questions))
				for i := range answers {
					answers[i] = password
				}
				return answers, nil
			}))
	}
	socket := os.Getenv("SSH_AUTH_SOCK")
	if e.AgentSocketPath != nil {
		socket = *e.AgentSocketPath
	}
	if socket != "" || e.AgentSocketPath != nil {
		connection, err := net.Dial("unix", socket)
		if err != nil {
			return nil, err
		}
		config.Auth = append(config.Auth, ssh.PublicKeysCallback(agent.NewClient(connection).Signers))
	}
	return config, nil
}

func (e *Endpoint) signer() (ssh.Signer, error) {
	if e.PrivateKeyPassword != nil {
		return ssh.ParsePrivateKeyWithPassphrase([]byte(*e.PrivateKey), []byte(*e.PrivateKeyPassword))
	}
	return ssh.ParsePrivateKey([]byte(*e.PrivateKey))
}

// dial connects and logs in, through the bastion if there is one. Habits of the real one that are kept: every
// failure is retried, a wrong password and a wrong host key too; nothing bounds a host that accepts and stays mute;
// once a log-in has begun, a cancelled update waits for it.
func (c *Connection) dial(ctx context.Context) (*ssh.Client, error) {
	if err := standin.AllowHost(*c.Host); err != nil {
		return nil, err
	}
	if c.Proxy != nil {
		if err := standin.AllowHost(*c.Proxy.Host); err != nil {
			return nil, fmt.Errorf("proxy: %w", err)
		}
	}
	standin.Announce(ctx)

	config, err := c.clientConfig()
	if err != nil {
		return nil, err
	}
	if c.Proxy == nil {
		return retried(ctx, "Dial", c.dialErrorLimit(), func() (*ssh.Client, error) {
			return ssh.Dial("tcp", c.address(), config)
		})
	}
	client, err := c.dialThrough(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	return client, nil
}

func (c *Connection) dialThrough(ctx context.Context, config *ssh.ClientConfig) (*ssh.Client, error) {
	proxyConfig, err := c.Proxy.clientConfig()
	if err != nil {
		return nil, err
	}
	proxy, err := retried(ctx, "Dial proxy", c.Proxy.dialErrorLimit(), func() (*ssh.Client, error) {
		return ssh.Dial("tcp", c.Proxy.address(), proxyConfig)
	})
	if err != nil {
		return nil, err
	}
	tunnel, err := retried(ctx, "Dial from proxy", c.dialErrorLimit(), func() (net.Conn, error) {
		return proxy.Dial("tcp", c.address())
	})
	if err != nil {
		return nil, err
	}
	// The retries of this step share the one tunnel, so after a failed log-in they all fail: the real one's habit.
	return retried(ctx, "Dial", c.dialErrorLimit(), func() (*ssh.Client, error) {
		connection, channels, requests, err := ssh.NewClientConn(tunnel, c.address(), config)
		if err != nil {
			return nil, err
		}
		return ssh.NewClient(connection, channels, requests), nil
	})
}

// retried calls attempt until it succeeds, or has failed limit times and once more (-1: for ever); waits grow from
// 0.1 s by half to at most 5 s.
func retried[T any](ctx context.Context, what string, limit int, attempt func() (T, error)) (T, error) {
	var result T
	shown := "inf"
	if limit >= 0 {
		shown = strconv.Itoa(limit)
	}
	ok, _, err := retry.Until(ctx, retry.Acceptor{
		Accept: func(failures int, _ time.Duration) (bool, any, error) {
			var err error
			if result, err = attempt(); err == nil {
				return true, nil, nil
			}
			if limit >= 0 && failures >= limit {
				return true, nil, fmt.Errorf("after %d failed attempts: %w", failures, err)
			}
			p.GetLogger(ctx).InfoStatusf("%s %d/%s failed: retrying", what, failures+1, shown)
			return false, nil, nil
		},
	})
	if err == nil && !ok {
		err = ctx.Err()
	}
	return result, err
}
