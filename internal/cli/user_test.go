package cli

import (
	"strings"
	"testing"
)

func TestPeopleAreAddedLinkedAndDisabled(t *testing.T) {
	t.Parallel()
	d := newStopped(t)
	made := d.run("user", "add", "ana@example.com", "--role", "developer")
	made.expect(t, ExitOK, "/#/welcome?token=")
	if strings.Count(strings.TrimSpace(made.out), "\n") != 0 || !strings.Contains(made.err, "ana@example.com signs in with it once") {
		t.Errorf("printed %q and %q", made.out, made.err)
	}
	d.run("user", "add", "ANA@example.com").expect(t, ExitInvalid, "taken")
	d.run("user", "add", "bob", "--role", "send").expect(t, ExitInvalid, "role")
	again := d.run("user", "link", "Ana@example.com")
	again.expect(t, ExitOK, "/#/welcome?token=")
	if again.out == made.out {
		t.Error("the second link is the first")
	}
	d.run("user", "list").expect(t, ExitOK, "ana@example.com  developer  enabled  never")
	d.run("user", "disable", "ana@example.com").expect(t, ExitOK, "ana@example.com is disabled")
	d.run("user", "list").expect(t, ExitOK, "developer  disabled")
	d.run("user", "link", "ana@example.com").expect(t, ExitInvalid, "enable him first")
	d.run("user", "enable", "ana@example.com").expect(t, ExitOK, "ana@example.com is enabled")
	d.run("user", "link", "nobody").expect(t, ExitInvalid, `no user "nobody"`)
	if other := d.run("user", "list", "--org", "org_other"); strings.Contains(other.out, "ana") {
		t.Errorf("another organization has %s", other.out)
	}
}
