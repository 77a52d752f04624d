package machine

import "testing"

func TestFileSystemIsThatOfTheLongestMountPoint(t *testing.T) {
	t.Parallel()
	const info = `22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:26 / /tmp rw,nosuid shared:5 master:2 - tmpfs tmpfs rw
31 22 0:27 / /tmpfiles rw - xfs /dev/vdb rw
garbage
`
	for path, want := range map[string]string{
		"/":             "ext4 on /dev/vda",
		"/home/x":       "ext4 on /dev/vda",
		"/tmp":          "tmpfs on tmpfs",
		"/tmp/x":        "tmpfs on tmpfs",
		"/tmpfiles/a/b": "xfs on /dev/vdb",
	} {
		if got := mounted(info, path); got != want {
			t.Errorf("%s is on %q, want %q", path, got, want)
		}
	}
}

func TestFieldTakesTheFirstValue(t *testing.T) {
	t.Parallel()
	const text = "processor\t: 0\nmodel name\t: Abacus 3: fast\nmodel name\t: other\n"
	if got := field(text, "model name"); got != "Abacus 3: fast" {
		t.Errorf("got %q", got)
	}
	if got := field(text, "absent"); got != "" {
		t.Errorf("got %q", got)
	}
}
