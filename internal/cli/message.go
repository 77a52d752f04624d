package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sigpost/sigpost/internal/control"
	"github.com/sigpost/sigpost/internal/hook"
)

func (p *program) messageCommand() *cobra.Command {
	var l place
	c := &cobra.Command{Use: "message", Short: "List, show and resend messages", Args: cobra.NoArgs,
		Long: "Works through the running server, or on its data directory when it is stopped."}
	l.flags(c)
	c.AddCommand(p.messageList(&l), p.messageShow(&l), p.messageResend(&l))
	return c
}

func (p *program) messageList(l *place) *cobra.Command {
	var source, before string
	var types []string
	var limit int
	c := &cobra.Command{
		Use: "list", Short: "List messages, the newest first", Args: cobra.NoArgs,
		Example: "  sigpost message list --source veriff-prod --type 'veriff.decision.*' --limit 20",
		RunE: func(c *cobra.Command, _ []string) error {
			q := url.Values{"limit": {strconv.Itoa(limit)}, "type": types}
			add(q, "source", source)
			add(q, "before", before)
			var list control.List[control.Message]
			if err := p.ask(c.Context(), l, http.MethodGet, "/messages", q, &list); err != nil {
				return err
			}
			if l.json {
				return p.printJSON(list)
			}
			if len(list.Data) == 0 {
				fmt.Fprintln(p.err, "no messages")
				return nil
			}
			err := p.table("ID\tRECEIVED\tSOURCE\tTYPE\tSTATE\tATTEMPTS\tDUPLICATES", func(w io.Writer) {
				for _, m := range list.Data {
					attempts := 0
					for _, d := range m.Deliveries {
						attempts += d.Attempts
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\n", m.ID, clock(m.ReceivedAt), m.Source, m.Type, m.State, attempts, m.Duplicates)
				}
			})
			if err == nil && list.Next != "" {
				fmt.Fprintf(p.err, "older ones: --before %s\n", list.Next)
			}
			return err
		},
	}
	c.Flags().StringVar(&source, "source", "", "only of this source")
	c.Flags().StringSliceVar(&types, "type", nil, "only of these event types; * stands for any characters")
	c.Flags().IntVar(&limit, "limit", 50, "how many, 1 to 250")
	c.Flags().StringVar(&before, "before", "", "only older than this message: the next page")
	return c
}

func (p *program) messageShow(l *place) *cobra.Command {
	var body bool
	c := &cobra.Command{
		Use: "show ID", Short: "Show a message, where it is and what happens next", Args: cobra.ExactArgs(1),
		Example: "  sigpost message show msg_2Xk…\n  sigpost message show msg_2Xk… --body > body.json",
		RunE: func(c *cobra.Command, args []string) error {
			var m control.Message
			if err := p.ask(c.Context(), l, http.MethodGet, "/messages/"+url.PathEscape(args[0]), nil, &m); err != nil {
				return err
			}
			switch {
			case body:
				_, err := p.out.Write(bytesOf(m.Body, m.BodyBase64))
				return err
			case l.json:
				return p.printJSON(m)
			}
			p.showMessage(&m)
			fmt.Fprintln(p.out)
			for _, h := range m.Headers {
				fmt.Fprintf(p.out, "%s: %s\n", h.Name, h.Value)
			}
			fmt.Fprintf(p.out, "\n%s\n", bytesOf(m.Body, m.BodyBase64))
			return nil
		},
	}
	c.Flags().BoolVar(&body, "body", false, "print the exact bytes of the body and nothing else")
	return c
}

func (p *program) messageResend(l *place) *cobra.Command {
	var endpoint string
	c := &cobra.Command{
		Use: "resend ID", Short: "Send a message again, with a new retry window", Args: cobra.ExactArgs(1),
		Example: "  sigpost message resend msg_2Xk…\n  sigpost message resend msg_2Xk… --endpoint http://127.0.0.1:3000/hook",
		RunE: func(c *cobra.Command, args []string) error {
			q := url.Values{}
			add(q, "endpoint", endpoint)
			var m control.Message
			if err := p.ask(c.Context(), l, http.MethodPost, "/messages/"+url.PathEscape(args[0])+"/resend", q, &m); err != nil {
				return err
			}
			if l.json {
				return p.printJSON(m)
			}
			p.showMessage(&m)
			return nil
		},
	}
	c.Flags().StringVar(&endpoint, "endpoint", "", "only to the endpoint with this name or URL, also when it never had the message")
	return c
}

// showMessage prints a message and its deliveries.
func (p *program) showMessage(m *control.Message) {
	fmt.Fprintf(p.out, "%s  %s  %s\n", m.ID, m.Type, m.State)
	fmt.Fprintf(p.out, "  source      %s\n  received    %s\n", m.Source, m.ReceivedAt.Format(time.RFC3339Nano))
	if m.OccurredAt != nil {
		fmt.Fprintf(p.out, "  occurred    %s\n", m.OccurredAt.Format(time.RFC3339Nano))
	}
	if m.EventID != "" {
		fmt.Fprintf(p.out, "  event id    %s\n", m.EventID)
	}
	for _, s := range m.Subjects {
		fmt.Fprintf(p.out, "  %-11s %s\n", s.Kind, s.ID)
	}
	fmt.Fprintf(p.out, "  size        %d bytes\n", m.Size)
	if m.Duplicates > 0 {
		fmt.Fprintf(p.out, "  duplicates  %d, the last %s\n", m.Duplicates, m.LastDuplicate.Format(time.RFC3339Nano))
	}
	if len(m.Deliveries) == 0 {
		fmt.Fprintln(p.out, "  unmatched   no endpoint of its source takes this event type")
	}
	for _, d := range m.Deliveries {
		fmt.Fprintf(p.out, "\n  %s → %s\n    %s; %s\n", d.State, d.Endpoint, attemptsWord(d.Attempts), d.Next)
		if d.NextAt != nil && d.State == hook.Pending.String() {
			fmt.Fprintf(p.out, "    due %s\n", d.NextAt.Format(time.RFC3339))
		}
		for _, a := range d.Log {
			result := a.Outcome
			if a.Reason != "" {
				result = a.Reason
			} else if a.Status != 0 {
				result = fmt.Sprintf("%s (%d)", a.Outcome, a.Status)
			}
			fmt.Fprintf(p.out, "    %2d  %s  %8.1f ms  %s\n", a.Number, clock(a.At), a.Millis, result)
			if answer := strings.TrimSpace(a.Response); answer != "" && a.Outcome != string(hook.OutcomeDelivered) {
				fmt.Fprintf(p.out, "        it answered: %s\n", firstLine(answer))
			}
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

func bytesOf(text string, raw []byte) []byte {
	if raw != nil {
		return raw
	}
	return []byte(text)
}

func add(q url.Values, name, value string) {
	if value != "" {
		q.Set(name, value)
	}
}
