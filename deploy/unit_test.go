package deploy_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sigpost/sigpost/internal/cli"
)

// parseUnit reads the settings of a unit; some may come several times.
func parseUnit(t *testing.T) map[string][]string {
	t.Helper()
	unit := map[string][]string{}
	for line := range strings.Lines(read(t, "sigpost.service")) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == '[' {
			continue
		}
		name, value, found := strings.Cut(line, "=")
		if !found {
			t.Fatalf("%q is no setting", line)
		}
		unit[name] = append(unit[name], value)
	}
	return unit
}

func TestUnitFitsTheProgram(t *testing.T) {
	t.Parallel()
	unit := parseUnit(t)
	start := strings.Fields(unit["ExecStart"][0])
	isCommand(t, start[1:])
	if !slices.Contains(start, "/etc/sigpost/sigpost.yaml") || !strings.Contains(unit["ExecReload"][0], "-HUP $MAINPID") {
		t.Errorf("started by %v, reloaded by %v", start, unit["ExecReload"])
	}
	env := map[string]string{}
	for _, pair := range unit["Environment"] {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	cfg := load(t, env)
	if stop := duration(t, unit["TimeoutStopSec"][0]); stop <= cfg.ShutdownTimeout {
		t.Errorf("it is killed after %v, while it may deliver for %v", stop, cfg.ShutdownTimeout)
	}
	if cfg.Data != "/var/lib/"+unit["StateDirectory"][0] {
		t.Errorf("the data directory is %s, and systemd makes /var/lib/%s", cfg.Data, unit["StateDirectory"][0])
	}
	if never := unit["RestartPreventExitStatus"]; !slices.Equal(never, []string{strconv.Itoa(cli.ExitUsage)}) {
		t.Errorf("it is not started again after %v, and a faulty configuration gives %d", never, cli.ExitUsage)
	}
}

// A configuration with faults ends with the code after which nothing is started again.
func TestFaultyConfigurationEndsWithItsOwnCode(t *testing.T) {
	t.Parallel()
	if out, code := sigpost(t, "serve", "--listen", "nowhere"); code != cli.ExitUsage {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

// Without one of these the program does not work as it should, and says so late or never.
func TestUnitAllowsWhatTheProgramNeeds(t *testing.T) {
	t.Parallel()
	unit := parseUnit(t)
	families := strings.Fields(unit["RestrictAddressFamilies"][0])
	for _, family := range []string{"AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK"} {
		if !slices.Contains(families, family) {
			t.Errorf("%s is not allowed", family)
		}
	}
	for name, value := range map[string]string{"User": "sigpost", "ProtectSystem": "strict", "NoNewPrivileges": "yes", "StateDirectoryMode": "0700", "UMask": "0077"} {
		if !slices.Equal(unit[name], []string{value}) {
			t.Errorf("%s is %v", name, unit[name])
		}
	}
	if _, narrowed := unit["ProcSubset"]; narrowed {
		t.Error("ProcSubset hides /proc/sys, where the length of the listen queue stands")
	}
}
