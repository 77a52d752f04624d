package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/sigpost/sigpost/internal/api"
)

// arrival is how long the test waits for its webhooks to arrive.
const arrival = 20 * time.Second

func (p *program) alertCommand() *cobra.Command {
	var l place
	c := &cobra.Command{Use: "alert", Short: "See that alerts arrive", Args: cobra.NoArgs}
	l.flags(c)
	l.orgFlag(c)
	c.AddCommand(p.alertTest(&l))
	return c
}

func (p *program) alertTest(l *place) *cobra.Command {
	return &cobra.Command{
		Use: "test", Short: "Send a test alert on every way there is", Args: cobra.NoArgs,
		Long: "Writes a line into the log, sends an e-mail when alerts.email is configured, and a webhook to every operational\n" +
			"endpoint, whatever it asks for. Waits until the webhooks were tried once. Exits with 1 when one way failed.",
		Example: "  sigpost alert test\n  sigpost alert test --config sigpost.yaml --json",
		RunE: func(c *cobra.Command, _ []string) error {
			return p.with(c.Context(), l, func(cl *client) error {
				rows, failed, err := cl.testAlerts(c.Context())
				if err != nil {
					return err
				}
				if l.json {
					err = p.printJSON(api.ListOut[alertRow]{Data: rows, Done: true})
				} else {
					err = p.listAlertTest(rows)
				}
				if err == nil && failed > 0 {
					err = &exitError{ExitInvalid, fmt.Errorf("%d of %d ways failed", failed, len(rows))}
				}
				return err
			})
		},
	}
}

// alertRow is one way of a test alert, with what came of it.
type alertRow struct {
	api.AlertTryOut
	Result string `json:"result"`
}

func (p *program) listAlertTest(rows []alertRow) error {
	has := map[string]bool{}
	err := p.table("WAY\tTO\tRESULT", func(w io.Writer) {
		for _, r := range rows {
			to := "-"
			if r.To != nil {
				to = *r.To
			}
			has[r.Way] = true
			fmt.Fprintf(w, "%s\t%s\t%s\n", r.Way, to, r.Result)
		}
	})
	if !has["email"] {
		fmt.Fprintln(p.err, "no e-mail is configured; `sigpost config example` shows how (alerts.email)")
	}
	if !has["webhook"] {
		fmt.Fprintln(p.err, "no operational endpoint is there; POST /api/v1/operational-webhook/endpoint makes one")
	}
	return err
}

// testAlerts sends a test alert and waits for what comes of it.
func (c *client) testAlerts(ctx context.Context) (rows []alertRow, failed int, err error) {
	var out api.AlertTestOut
	if err := c.call(ctx, http.MethodPost, "/api/v1/alert/test", nil, &out); err != nil {
		return nil, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, arrival)
	defer cancel()
	for _, try := range out.Data {
		r := alertRow{AlertTryOut: try, Result: "sent"}
		ok := true
		switch {
		case try.Error != nil:
			r.Result, ok = "failed: "+*try.Error, false
		case try.Way == "log":
			r.Result = "written"
		case try.MsgID != nil:
			if r.Result, ok, err = c.arrived(ctx, *try.MsgID); err != nil {
				return nil, 0, err
			}
		}
		if !ok {
			failed++
		}
		rows = append(rows, r)
	}
	return rows, failed, nil
}

// arrived waits until the first attempt of a message was made, and says what came
// of it.
func (c *client) arrived(ctx context.Context, message string) (result string, ok bool, err error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		var m api.OrgMessageDetailOut
		err := c.call(context.WithoutCancel(ctx), http.MethodGet, messagesPath+"/"+message, nil, &m)
		if err != nil || len(m.Deliveries) == 0 {
			return "not on its way", false, err
		}
		switch d := m.Deliveries[0]; {
		case d.State == "delivered":
			return "delivered, " + message, true, nil
		case len(d.Log) > 0 && d.Log[len(d.Log)-1].Reason != nil:
			return "failed: " + *d.Log[len(d.Log)-1].Reason + ", " + message, false, nil
		}
		select {
		case <-ctx.Done():
			return "kept as " + message + ", but not tried within " + arrival.String(), false, nil
		case <-tick.C:
		}
	}
}
