package cli

import (
	"testing"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/store"
)

func TestAlertTestSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	d := newStopped(t)
	sigpost(t, "alert", "test", "--data", d.dir).expect(t, ExitOK,
		"WAY  TO  RESULT\nlog  -   written\n", "no e-mail is configured", "no operational endpoint is there")
	d.open(func(s *store.Store) {
		app, err := s.OperationalApp(t.Context(), store.DefaultOrg)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range []hook.Endpoint{{URL: "https://ops.example/one"}, {URL: "https://ops.example/two", State: hook.Paused}} {
			e.Org, e.App = app.Org, app.ID
			if _, err := s.CreateEndpoint(t.Context(), e, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"); err != nil {
				t.Fatal(err)
			}
		}
	})
	sigpost(t, "alert", "test", "--data", d.dir).expect(t, ExitInvalid,
		"webhook  https://ops.example/one  failed: no server runs that would send it; start it and try again\n",
		"webhook  https://ops.example/two  failed: the endpoint is paused; enable it\n", "2 of 3 ways failed")
	config := file(t, "sigpost.yaml", "listen: 127.0.0.1:1\ndata: "+d.dir+"\nalerts: {email: {smtp: 'smtp://127.0.0.1:1', from: a@example.com, to: [b@example.com]}}\n")
	sigpost(t, "alert", "test", "--config", config, "--json", "--org", "org_other").expect(t, ExitInvalid,
		`"way": "email"`, `"to": "b@example.com"`, `"result": "failed: connect to 127.0.0.1:1: `, "1 of 2 ways failed")
	sigpost(t, "alert", "test", "--help").expect(t, ExitOK, "Examples:\n  sigpost alert test")
	sigpost(t, "alert", "toast").expect(t, ExitUsage, `did you mean "test"?`)
}
