package cli

import (
	"context"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sigpost/sigpost/internal/api"
	"github.com/sigpost/sigpost/internal/hook"
)

// recovery is what the commands say that have a task about an endpoint begun.
type recovery struct {
	source, since, until string
	dryRun, watch, sends bool
	pace                 int // of one that sends

	types, messages             []string
	channel, tag, status, class string
	subject                     string
}

// recoveryCommand is one that begins a task about an endpoint: the operation that
// its name says. chooses says that it has flags that choose among messages, sends
// that it sends.
func (p *program) recoveryCommand(l *place, app *string, r *recovery, c *cobra.Command, operation string, chooses, sends bool) *cobra.Command {
	c.Use += " ENDPOINT"
	c.Args = cobra.ExactArgs(1)
	c.Long = strings.TrimSpace(c.Long + "\n\nENDPOINT is a name, a URL, a uid or an id. The work is a task that goes on by itself, also after a restart:\n" +
		"`sigpost task` lists, shows, pauses and cancels tasks.")
	r.sends = sends
	c.RunE = func(c *cobra.Command, args []string) error {
		if sends && r.since == "" && len(r.messages) == 0 {
			return usage("--since is missing: say from when on, for example --since 2h")
		}
		in, err := r.body(time.Now())
		if err != nil {
			return err
		}
		return p.with(c.Context(), l, func(cl *client) error {
			rows, err := cl.endpointsAt(c.Context(), *app, r.source)
			if err != nil {
				return err
			}
			e, err := oneOf(rows, args[0])
			if err != nil {
				return err
			}
			var begun api.TaskOut
			if err := cl.ask(c.Context(), http.MethodPost, e.path+"/"+operation, in, &begun); err != nil {
				return err
			}
			return p.follow(c.Context(), l, cl, begun.ID, r.watch || r.dryRun)
		})
	}
	f := c.Flags()
	f.StringVar(&r.source, "source", "", "the endpoint's source, when several have one of this name")
	from := "only messages from then on: 2h, 7d, a date or a time like 2026-01-31T12:00:00Z"
	switch {
	case sends && chooses:
		from += "; needed unless there is --message"
	case sends:
		from += "; needed"
	}
	f.StringVar(&r.since, "since", "", from)
	f.StringVar(&r.until, "until", "", "only messages from before then (default now)")
	f.BoolVar(&r.dryRun, "dry-run", false, "only count, and name some of the messages")
	f.BoolVar(&r.watch, "watch", false, "show how far the task is until it is over")
	if sends {
		f.IntVar(&r.pace, "pace", hook.DefaultPace, "deliveries a second, 1 to 1000")
	}
	if !chooses {
		return c
	}
	f.StringSliceVar(&r.types, "type", nil, "only these event types")
	f.StringVar(&r.channel, "channel", "", "only messages in this channel")
	f.StringVar(&r.tag, "tag", "", "only messages with this tag")
	f.StringVar(&r.subject, "subject", "", "only messages about this subject: kind=id, for example session=12df6045")
	f.StringSliceVar(&r.messages, "message", nil, "only these messages: their ids or event ids")
	f.StringVar(&r.class, "class", "", "only those whose newest attempt got such a status: 100, 200, 300, 400, 500, or none")
	if sends {
		f.StringVar(&r.status, "status", "", "only those that are delivered, pending, failed or canceled")
	}
	return c
}

func (p *program) endpointRecover(l *place, app *string) *cobra.Command {
	return p.recoveryCommand(l, app, &recovery{}, &cobra.Command{
		Use: "recover", Short: "Send an endpoint again what failed",
		Example: "  sigpost endpoint recover http://127.0.0.1:3000/hook --since 2h --watch\n  sigpost endpoint recover --app acme orders --since 2026-01-31 --dry-run",
	}, "recover", false, true)
}

func (p *program) endpointReplay(l *place, app *string) *cobra.Command {
	return p.recoveryCommand(l, app, &recovery{}, &cobra.Command{
		Use: "replay", Short: "Send an endpoint its messages again, delivered ones too",
		Example: "  sigpost endpoint replay orders --app acme --since 7d --type order.paid --dry-run\n  sigpost endpoint replay one --since 2h --subject session=12df6045 --pace 20",
	}, "bulk-replay", true, true)
}

func (p *program) endpointReplayMissing(l *place, app *string) *cobra.Command {
	return p.recoveryCommand(l, app, &recovery{}, &cobra.Command{
		Use: "replay-missing", Short: "Send an endpoint what it never had",
		Long:    "What it never had are messages that went to no endpoint when they came, or that came before there was this one, and what is still held.",
		Example: "  sigpost endpoint replay-missing http://127.0.0.1:3000/hook --since 2d --watch",
	}, "replay-missing", false, true)
}

func (p *program) endpointCancelPending(l *place, app *string) *cobra.Command {
	return p.recoveryCommand(l, app, &recovery{}, &cobra.Command{
		Use: "cancel-pending", Short: "Cancel what an endpoint still has to get",
		Long:    "What is pending or held is canceled. What is being attempted just now is not, unless the attempt fails: pause the endpoint first.",
		Example: "  sigpost endpoint cancel-pending http://127.0.0.1:3000/hook --dry-run\n  sigpost endpoint cancel-pending --app acme orders --type order.paid",
	}, "cancel-pending", true, false)
}

// body is the request.
func (r *recovery) body(now time.Time) (map[string]any, error) {
	in := map[string]any{}
	for name, text := range map[string]string{"since": r.since, "until": r.until} {
		if text == "" {
			continue
		}
		at, err := moment(name, text, now)
		if err != nil {
			return nil, err
		}
		in[name] = at
	}
	set := func(name, value string) {
		if value != "" {
			in[name] = value
		}
	}
	set("channel", r.channel)
	set("tag", r.tag)
	if len(r.types) > 0 {
		in["eventTypes"] = r.types
	}
	if len(r.messages) > 0 {
		in["messageIds"] = r.messages
	}
	if r.dryRun {
		in["dryRun"] = true
	}
	if r.sends {
		in["pace"] = r.pace
	}
	for _, w := range []struct {
		field, flag, text string
		numbers           map[string]int
	}{
		{"status", "status", r.status, map[string]int{"delivered": 0, "pending": 1, "failed": 2, "canceled": 4}},
		{"statusCodeClass", "class", r.class, map[string]int{"none": 0, "100": 100, "200": 200, "300": 300, "400": 400, "500": 500}},
	} {
		n, ok := w.numbers[w.text]
		if w.text != "" && !ok {
			return nil, usage("--%s has no %q; it has %s", w.flag, w.text, strings.Join(slices.Sorted(maps.Keys(w.numbers)), ", "))
		}
		if ok {
			in[w.field] = n
		}
	}
	if kind, id, ok := strings.Cut(r.subject, "="); ok {
		in["subject"] = map[string]string{"kind": kind, "id": id}
	} else if r.subject != "" {
		return nil, usage("--subject %q is not kind=id, for example session=12df6045", r.subject)
	}
	return in, nil
}

// moment reads a time that was, as a duration before now, a date or a time.
func moment(flag, text string, now time.Time) (time.Time, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n < math.MaxInt16 {
			return now.AddDate(0, 0, -n), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateTime, time.DateOnly} {
		if at, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return at, nil
		}
	}
	return time.Time{}, usage("--%s %q is neither a time ago, like 2h or 7d, nor a date or a time, like 2026-01-31 or 2026-01-31T12:00:00Z", flag, text)
}

// follow shows a task that was begun: as it is now, or until it is over.
func (p *program) follow(ctx context.Context, l *place, cl *client, id string, watch bool) error {
	if watch && !cl.stopped {
		return p.watchTask(ctx, l, cl, id)
	}
	t, err := cl.task(ctx, id)
	if err != nil {
		return err
	}
	if err := p.showTask(l, &t); err != nil || l.json || t.of.State.Over() {
		return err
	}
	goes := "it goes on by itself"
	if cl.stopped {
		goes = "the server is stopped; the task begins when it starts"
	}
	fmt.Fprintf(p.err, "%s; `sigpost task show %s --watch` shows how far it is\n", goes, id)
	return nil
}
