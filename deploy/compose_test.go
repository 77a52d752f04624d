package deploy_test

import (
	"maps"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sigpost/sigpost/internal/config"
	"github.com/sigpost/sigpost/internal/seal"
)

// compose is what compose.yaml may have; a misspelt key is an error.
type compose struct {
	Name     string
	Logging  any                `yaml:"x-logging"`
	Node     any                `yaml:"x-node"`
	Services map[string]service `yaml:"services"`
	Networks map[string]struct {
		Internal bool
		IPAM     struct{ Config []struct{ Subnet string } } `yaml:"ipam"`
	}
	Volumes map[string]any
}

type service struct {
	Image       string
	PullPolicy  string `yaml:"pull_policy"`
	Restart     string
	DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
	EnvFile     []string                              `yaml:"env_file"`
	Environment map[string]string
	Volumes     []string
	Networks    []string
	Ports       []string
	ReadOnly    bool `yaml:"read_only"`
	Tmpfs       []string
	CapDrop     []string `yaml:"cap_drop"`
	CapAdd      []string `yaml:"cap_add"`
	SecurityOpt []string `yaml:"security_opt"`
	MemLimit    string   `yaml:"mem_limit"`
	StopSignal  string   `yaml:"stop_signal"`
	StopGrace   string   `yaml:"stop_grace_period"`
	ShmSize     string   `yaml:"shm_size"`
	User        string
	Healthcheck struct {
		Test        []string
		Interval    string
		Timeout     string
		StartPeriod string `yaml:"start_period"`
	}
	Logging any
}

func parseCompose(t *testing.T) *compose {
	t.Helper()
	d := yaml.NewDecoder(strings.NewReader(read(t, "compose.yaml")))
	d.KnownFields(true)
	c := &compose{}
	if err := d.Decode(c); err != nil {
		t.Fatal(err)
	}
	return c
}

// nodes are the names of the services that run sigpost.
func (c *compose) nodes() (names []string) {
	for name, s := range c.Services {
		if s.Image == "sigpost" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

var variable = regexp.MustCompile(`\$\{([A-Z_]+)(?::([-?])([^}]*))?\}`)

// interpolate puts variables into a text as compose does; one without default must be set.
func interpolate(t *testing.T, text string, env map[string]string) string {
	t.Helper()
	return variable.ReplaceAllStringFunc(text, func(found string) string {
		m := variable.FindStringSubmatch(found)
		value, set := env[m[1]]
		if !set && m[2] != "-" {
			t.Errorf("%s is not set by the command that makes .env, and has no default", m[1])
		}
		if set {
			return value
		}
		return m[3]
	})
}

// environment is that of a container: the image's, what stands in .env, and compose's own.
func (c *compose) environment(t *testing.T, name string) map[string]string {
	t.Helper()
	env := imageEnv(t)
	maps.Copy(env, secrets())
	for name, value := range c.Services[name].Environment {
		env[name] = interpolate(t, value, secrets())
	}
	return env
}

func TestNodesOfComposeAreConfigured(t *testing.T) {
	t.Parallel()
	c := parseCompose(t)
	if nodes := c.nodes(); len(nodes) != 3 {
		t.Fatalf("the nodes are %v", nodes)
	}
	for _, name := range c.nodes() {
		node := c.Services[name]
		cfg := load(t, c.environment(t, name))
		if _, err := seal.NewRing(cfg.MasterKey.Reveal()); err != nil {
			t.Errorf("%s: master key: %v", name, err)
		}
		u, err := url.Parse(cfg.DatabaseURL.Reveal())
		if err != nil {
			t.Fatal("database URL: not a URL")
		}
		database, ok := c.Services[u.Hostname()]
		if !ok || !common(database.Networks, node.Networks) || node.DependsOn[u.Hostname()].Condition != "service_healthy" {
			t.Errorf("%s: the database is at %s", name, u.Host)
		}
		if e := database.Environment; u.User.Username() != e["POSTGRES_USER"] || strings.TrimPrefix(u.Path, "/") != e["POSTGRES_DB"] {
			t.Errorf("%s: user and database of %s are others", name, u.Hostname())
		}
		if grace := duration(t, node.StopGrace); grace <= cfg.ShutdownTimeout {
			t.Errorf("%s is killed after %v, while it may deliver for %v", name, grace, cfg.ShutdownTimeout)
		}
		writable := slices.ContainsFunc(node.Tmpfs, func(m string) bool { return strings.HasPrefix(m, cfg.Data+":uid=65532,") })
		if !writable || !slices.Contains(node.Volumes, "./sigpost.yaml:"+node.Environment["SIGPOST_CONFIG"]+":ro") {
			t.Errorf("%s: data directory %s, volumes %v", name, cfg.Data, node.Volumes)
		}
	}
}

func common(a, b []string) bool {
	return slices.ContainsFunc(a, func(x string) bool { return slices.Contains(b, x) })
}

func duration(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// The balancer's network is the one that is trusted, and nobody else is on it.
func TestNodesTrustTheBalancerAlone(t *testing.T) {
	t.Parallel()
	c := parseCompose(t)
	balancer := c.Services["balancer"]
	if len(balancer.Networks) != 1 {
		t.Fatalf("the balancer is on %v", balancer.Networks)
	}
	front := balancer.Networks[0]
	subnet := netip.MustParsePrefix(interpolate(t, c.Networks[front].IPAM.Config[0].Subnet, nil))
	for _, name := range c.nodes() {
		trusted := config.Prefixes(load(t, c.environment(t, name)).TrustedProxies)
		if !slices.Equal(trusted, []netip.Prefix{subnet}) || !slices.Contains(c.Services[name].Networks, front) {
			t.Errorf("%s trusts %v, the balancer is in %v", name, trusted, subnet)
		}
	}
	for name, s := range c.Services {
		if slices.Contains(s.Networks, front) && name != "balancer" && !slices.Contains(c.nodes(), name) {
			t.Errorf("%s is on the network whose X-Forwarded-For counts", name)
		}
	}
}

func TestOnlyTheBalancerIsOpenOutside(t *testing.T) {
	t.Parallel()
	c := parseCompose(t)
	for name, s := range c.Services {
		if name != "balancer" && len(s.Ports) > 0 {
			t.Errorf("%s publishes %v", name, s.Ports)
		}
		for _, port := range s.Ports {
			if at := interpolate(t, port, nil); !strings.HasPrefix(at, "127.0.0.1:") {
				t.Errorf("%s is open to the world at %s before anybody said so", name, at)
			}
		}
	}
	for _, network := range c.Services["postgres"].Networks {
		if !c.Networks[network].Internal {
			t.Errorf("the database is on %s, which has a way out", network)
		}
	}
}

func TestContainersAreLockedDown(t *testing.T) {
	t.Parallel()
	c := parseCompose(t)
	_, last := parseDockerfile(t)
	for name, s := range c.Services {
		user := s.User
		if s.Image == "sigpost" {
			user = one(t, last, "USER")
		}
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") || user == "" || strings.HasPrefix(user, "0") || user == "root" {
			t.Errorf("%s: read-only %v, drops %v, %v, user %q", name, s.ReadOnly, s.CapDrop, s.SecurityOpt, user)
		}
		if s.Restart != "unless-stopped" || s.StopGrace == "" || s.Logging == nil {
			t.Errorf("%s: restart %q, stop %q, logging %v", name, s.Restart, s.StopGrace, s.Logging)
		}
		for variable, value := range s.Environment {
			if regexp.MustCompile(`PASSWORD|KEY|SECRET|DATABASE_URL`).MatchString(variable) && !strings.Contains(value, ":?") {
				t.Errorf("%s: %s is in clear, or may be empty", name, variable)
			}
		}
	}
}

// The Caddyfile is written for these nodes; other places set NODES and SITE.
func TestBalancerKnowsTheNodes(t *testing.T) {
	t.Parallel()
	c, caddyfile := parseCompose(t), read(t, "Caddyfile")
	_, last := parseDockerfile(t)
	var addresses []string
	for _, name := range c.nodes() {
		addresses = append(addresses, name+":"+one(t, last, "EXPOSE"))
	}
	balancer := c.Services["balancer"]
	list := strings.Join(addresses, " ")
	if balancer.Environment["NODES"] != list || !strings.Contains(caddyfile, "{$NODES:"+list+"}") {
		t.Errorf("the nodes are %s", list)
	}
	if site := interpolate(t, balancer.Environment["SITE"], nil); site != ":80" || !strings.Contains(caddyfile, "{$SITE:"+site+"}") {
		t.Errorf("by default it listens on %s", site)
	}
	check, err := url.Parse(balancer.Healthcheck.Test[len(balancer.Healthcheck.Test)-1])
	if err != nil || !strings.Contains(caddyfile, "http://"+check.Host+" {") {
		t.Errorf("its health is asked for at %s, where it does not listen", check)
	}
	if !slices.Contains(balancer.Volumes, "./Caddyfile:/etc/caddy/Caddyfile:ro") {
		t.Errorf("it gets %v", balancer.Volumes)
	}
}
