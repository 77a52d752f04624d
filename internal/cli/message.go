package cli

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sigpost/sigpost/internal/api"
	"github.com/sigpost/sigpost/internal/hook"
)

// messagesPath is that of the messages of all applications and sources.
const messagesPath = "/api/v1/msg"

func (p *program) messageCommand() *cobra.Command {
	var l place
	c := &cobra.Command{Use: "message", Short: "List, show and resend messages", Args: cobra.NoArgs,
		Long: "Works through the running server, or on its data directory when it is stopped."}
	l.flags(c)
	l.orgFlag(c)
	c.AddCommand(p.messageList(&l), p.messageShow(&l), p.messageResend(&l))
	return c
}

func (p *program) messageList(l *place) *cobra.Command {
	var source, app, before string
	var types []string
	var limit int
	c := &cobra.Command{
		Use: "list", Short: "List messages, the newest first", Args: cobra.NoArgs,
		Example: "  sigpost message list --source veriff-prod --type 'veriff.decision.*' --limit 20",
		RunE: func(c *cobra.Command, _ []string) error {
			q := typeQuery(types)
			add(q, "source", source)
			add(q, "app_id", app)
			add(q, "iterator", before)
			return p.with(c.Context(), l, func(cl *client) error {
				found, err := readList[api.OrgMessageOut](c.Context(), cl, messagesPath, q, limit)
				switch {
				case err != nil:
					return err
				case l.json:
					return p.printJSON(found)
				}
				return p.listMessages(&found)
			})
		},
	}
	c.Flags().StringVar(&source, "source", "", "only of this source: its name, uid or id")
	c.Flags().StringVar(&app, "app", "", "only of this application: its uid or id")
	c.Flags().StringSliceVar(&types, "type", nil, "only of these event types; * stands for any characters")
	c.Flags().IntVar(&limit, "limit", 50, "how many")
	c.Flags().StringVar(&before, "before", "", "only older than this message: the next page")
	return c
}

// typeQuery asks for event types: those without a * are found by an index.
func typeQuery(types []string) url.Values {
	var exact, patterns []string
	for _, t := range types {
		if strings.Contains(t, "*") {
			patterns = append(patterns, t)
		} else {
			exact = append(exact, t)
		}
	}
	q := url.Values{}
	add(q, "event_types", strings.Join(exact, ","))
	add(q, "event_type_patterns", strings.Join(patterns, ","))
	return q
}

func (p *program) listMessages(found *api.ListOut[api.OrgMessageOut]) error {
	if len(found.Data) == 0 {
		fmt.Fprintln(p.err, "no messages")
		return nil
	}
	err := p.table("ID\tRECEIVED\tSOURCE\tTYPE\tSTATE\tATTEMPTS\tDUPLICATES", func(w io.Writer) {
		for _, m := range found.Data {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\n", m.ID, clock(m.Timestamp), origin(&m), m.EventType, m.State, m.Attempts, m.Duplicates)
		}
	})
	if err == nil && !found.Done && found.Iterator != nil {
		fmt.Fprintf(p.err, "older ones: --before %s\n", *found.Iterator)
	}
	return err
}

// origin is the source that received a message, or the application that it was made for.
func origin(m *api.OrgMessageOut) string {
	if m.Source != nil {
		return *m.Source
	}
	return m.AppID
}

func (p *program) messageShow(l *place) *cobra.Command {
	var body bool
	c := &cobra.Command{
		Use: "show ID", Short: "Show a message, where it is and what happens next", Args: cobra.ExactArgs(1),
		Example: "  sigpost message show msg_2Xk…\n  sigpost message show msg_2Xk… --body > body.json",
		RunE: func(c *cobra.Command, args []string) error {
			return p.with(c.Context(), l, func(cl *client) error {
				m, err := cl.message(c.Context(), args[0], body || !l.json)
				if err != nil {
					return err
				}
				if !body && l.json {
					return p.printJSON(m)
				}
				raw, there, err := payload(&m)
				switch {
				case err != nil:
					return err
				case body && !there:
					return fmt.Errorf("the payload of %s was deleted", m.ID)
				case body:
					_, err := p.out.Write(raw)
					return err
				}
				p.showMessage(&m)
				fmt.Fprintln(p.out)
				for _, h := range m.Headers {
					fmt.Fprintf(p.out, "%s: %s\n", h.Name, h.Value)
				}
				fmt.Fprintf(p.out, "\n%s\n", raw)
				return nil
			})
		},
	}
	c.Flags().BoolVar(&body, "body", false, "print the exact bytes of the body and nothing else")
	return c
}

// message reads a message; raw asks for the exact bytes of its payload.
func (c *client) message(ctx context.Context, id string, raw bool) (m api.OrgMessageDetailOut, err error) {
	path, err := pathOf(messagesPath, id)
	if err != nil {
		return m, err
	}
	q := url.Values{}
	if raw {
		q.Set("raw", "true")
	}
	err = c.call(ctx, http.MethodGet, path, q, &m)
	return m, err
}

// payload is what a message that was asked for raw has; there is false when it was deleted.
func payload(m *api.OrgMessageDetailOut) (raw []byte, there bool, err error) {
	if m.RawPayload == nil {
		return m.Payload, false, nil // what stands in its place
	}
	raw, err = base64.StdEncoding.DecodeString(*m.RawPayload)
	if err != nil {
		return nil, false, fmt.Errorf("read the payload: %w", err)
	}
	return raw, true, nil
}

func (p *program) messageResend(l *place) *cobra.Command {
	var endpoint string
	c := &cobra.Command{
		Use: "resend ID", Short: "Send a message again, with a new retry window", Args: cobra.ExactArgs(1),
		Example: "  sigpost message resend msg_2Xk…\n  sigpost message resend msg_2Xk… --endpoint http://127.0.0.1:3000/hook",
		RunE: func(c *cobra.Command, args []string) error {
			return p.with(c.Context(), l, func(cl *client) error {
				m, err := cl.resend(c.Context(), args[0], endpoint)
				switch {
				case err != nil:
					return err
				case l.json:
					return p.printJSON(m)
				}
				p.showMessage(&m)
				return nil
			})
		},
	}
	c.Flags().StringVar(&endpoint, "endpoint", "", "only to the endpoint with this name, URL, uid or id, also when it never had the message")
	return c
}

// resend has a message sent again to the endpoints that it went to, or to the
// one that is named, and reads it anew.
func (c *client) resend(ctx context.Context, id, endpoint string) (api.OrgMessageDetailOut, error) {
	m, err := c.message(ctx, id, false)
	if err != nil {
		return m, err
	}
	to, err := c.resendTo(ctx, &m, endpoint)
	if err != nil {
		return m, err
	}
	for _, e := range to {
		path := "/api/v1/app/" + m.AppID + "/msg/" + m.ID + "/endpoint/" + e + "/resend"
		if err := c.call(ctx, http.MethodPost, path, nil, nil); err != nil {
			return m, err
		}
	}
	return c.message(ctx, id, false)
}

// resendTo are the ids of the endpoints that a message is sent to again.
func (c *client) resendTo(ctx context.Context, m *api.OrgMessageDetailOut, endpoint string) (ids []string, err error) {
	if endpoint != "" {
		rows, err := c.endpointsOf(ctx, m)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			if rows[i].is(endpoint) {
				return []string{rows[i].ID}, nil
			}
		}
		return nil, fmt.Errorf("%s has no endpoint %q; `sigpost endpoint list` shows those there are", origin(&m.OrgMessageOut), endpoint)
	}
	deleted := 0
	for _, d := range m.Deliveries {
		switch {
		case d.Deleted:
			deleted++
		case !slices.Contains(ids, d.EndpointID):
			ids = append(ids, d.EndpointID)
		}
	}
	switch {
	case len(ids) > 0:
		return ids, nil
	case deleted > 0:
		return nil, errors.New("the endpoint that it went to was deleted; name another one with --endpoint")
	}
	return nil, errors.New("the message went to no endpoint; name one with --endpoint")
}

// showMessage prints a message and its deliveries.
func (p *program) showMessage(m *api.OrgMessageDetailOut) {
	fmt.Fprintf(p.out, "%s  %s  %s\n", m.ID, m.EventType, m.State)
	from := "application"
	if m.Source != nil {
		from = "source"
	}
	fmt.Fprintf(p.out, "  %-11s %s\n  received    %s\n", from, origin(&m.OrgMessageOut), m.Timestamp.Format(time.RFC3339Nano))
	if m.OccurredAt != nil {
		fmt.Fprintf(p.out, "  occurred    %s\n", m.OccurredAt.Format(time.RFC3339Nano))
	}
	if m.EventID != nil {
		fmt.Fprintf(p.out, "  event id    %s\n", *m.EventID)
	}
	for _, s := range m.Subjects {
		fmt.Fprintf(p.out, "  %-11s %s\n", s.Kind, s.ID)
	}
	fmt.Fprintf(p.out, "  size        %d bytes\n", m.Size)
	if m.Duplicates > 0 && m.LastDuplicateAt != nil {
		fmt.Fprintf(p.out, "  duplicates  %d, the last %s\n", m.Duplicates, m.LastDuplicateAt.Format(time.RFC3339Nano))
	}
	if m.Next != nil {
		fmt.Fprintf(p.out, "  %-11s %s (`sigpost endpoint replay-missing`)\n", m.State, *m.Next)
	}
	for _, d := range m.Deliveries {
		p.showDelivery(&d)
	}
}

func (p *program) showDelivery(d *api.OrgDeliveryOut) {
	fmt.Fprintf(p.out, "\n  %s → %s\n    %s; %s\n", d.State, d.Endpoint, attemptsWord(d.Attempts), d.Next)
	if d.NextAttempt != nil {
		fmt.Fprintf(p.out, "    due %s\n", d.NextAttempt.Format(time.RFC3339))
	}
	for _, a := range d.Log {
		result := a.Outcome
		if a.Reason != nil {
			result = *a.Reason
		} else if a.ResponseStatusCode != 0 {
			result = fmt.Sprintf("%s (%d)", a.Outcome, a.ResponseStatusCode)
		}
		if a.Trigger != hook.Scheduled.String() {
			result += ", " + a.Trigger
		}
		fmt.Fprintf(p.out, "    %2d  %s  %8.1f ms  %s\n", a.Number, clock(a.Timestamp), a.DurationMs, result)
		if answer := strings.TrimSpace(a.Response); answer != "" && a.Outcome != string(hook.OutcomeDelivered) {
			fmt.Fprintf(p.out, "        it answered: %s\n", firstLine(answer))
		}
	}
}

// firstLine is the beginning of a text, short enough for a line.
func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	const most = 200
	if len(line) > most {
		line = strings.ToValidUTF8(line[:most], "") + "…"
	}
	return line
}

func attemptsWord(n int) string {
	if n == 1 {
		return "1 attempt"
	}
	return fmt.Sprintf("%d attempts", n)
}

func clock(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

func add(q url.Values, name, value string) {
	if value != "" {
		q.Set(name, value)
	}
}
