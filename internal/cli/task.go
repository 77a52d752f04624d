package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sigpost/sigpost/internal/api"
	"github.com/sigpost/sigpost/internal/hook"
)

const tasksPath = "/api/v1/background-task"

// watchEvery is how often a task that is watched is looked at.
const watchEvery = 500 * time.Millisecond

// taskRow is a task with what its data says, whatever its kind.
type taskRow struct {
	api.BackgroundTaskOut

	of struct {
		hook.JobData
		State      hook.TaskStatus `json:"state"`
		Kind       string          `json:"kind"`
		EndpointID string          `json:"endpointId"`
		Error      string          `json:"error"`
	}
}

// UnmarshalJSON reads the data, too.
func (t *taskRow) UnmarshalJSON(raw []byte) error {
	if err := json.Unmarshal(raw, &t.BackgroundTaskOut); err != nil {
		return err
	}
	return json.Unmarshal(t.Data, &t.of)
}

func (p *program) taskCommand() *cobra.Command {
	var l place
	c := &cobra.Command{Use: "task", Short: "List, show, pause and cancel tasks, such as replays", Args: cobra.NoArgs,
		Long: "Works through the running server, or on its data directory when it is stopped; tasks go on while the server runs."}
	l.flags(c)
	l.orgFlag(c)
	c.AddCommand(
		p.taskList(&l), p.taskShow(&l),
		p.taskMove(&l, "pause", "Pause a task; what it has made due goes out"),
		p.taskMove(&l, "resume", "Let a paused task go on where it was"),
		p.taskMove(&l, "cancel", "Cancel a task; what it has done stays done"),
	)
	return c
}

func (p *program) taskList(l *place) *cobra.Command {
	var state, kind, before string
	var limit int
	c := &cobra.Command{
		Use: "list", Short: "List tasks, the newest first", Args: cobra.NoArgs,
		Example: "  sigpost task list\n  sigpost task list --state paused --kind endpoint.recover",
		RunE: func(c *cobra.Command, _ []string) error {
			q := url.Values{}
			add(q, "state", state)
			add(q, "task", kind)
			add(q, "iterator", before)
			return p.with(c.Context(), l, func(cl *client) error {
				found, err := readList[taskRow](c.Context(), cl, tasksPath, q, limit)
				switch {
				case err != nil:
					return err
				case l.json:
					return p.printJSON(found)
				case len(found.Data) == 0:
					fmt.Fprintln(p.err, "no tasks")
					return nil
				}
				err = p.table("ID\tUPDATED\tTASK\tSTATE\tENDPOINT\tPROGRESS", func(w io.Writer) {
					for i := range found.Data {
						t := &found.Data[i]
						fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", t.ID, clock(t.UpdatedAt), t.of.Kind, t.of.State, t.of.EndpointID, t.progress())
					}
				})
				if err == nil && !found.Done && found.Iterator != nil {
					fmt.Fprintf(p.err, "older ones: --before %s\n", *found.Iterator)
				}
				return err
			})
		},
	}
	c.Flags().StringVar(&state, "state", "", "only those that are running, paused, canceled, finished or failed")
	c.Flags().StringVar(&kind, "kind", "", "only of this kind, for example endpoint.recover")
	c.Flags().IntVar(&limit, "limit", 50, "how many")
	c.Flags().StringVar(&before, "before", "", "only older than this task: the next page")
	return c
}

func (p *program) taskShow(l *place) *cobra.Command {
	var watch bool
	c := &cobra.Command{
		Use: "show ID", Short: "Show how far a task is, and its result", Args: cobra.ExactArgs(1),
		Example: "  sigpost task show qtask_2Xk…\n  sigpost task show qtask_2Xk… --watch",
		RunE: func(c *cobra.Command, args []string) error {
			return p.with(c.Context(), l, func(cl *client) error {
				if watch && !cl.stopped {
					return p.watchTask(c.Context(), l, cl, args[0])
				}
				t, err := cl.task(c.Context(), args[0])
				if err != nil {
					return err
				}
				return p.showTask(l, &t)
			})
		},
	}
	c.Flags().BoolVar(&watch, "watch", false, "until it is over")
	return c
}

// taskMove is the command that pauses tasks, lets them go on, or cancels them.
func (p *program) taskMove(l *place, to, short string) *cobra.Command {
	return &cobra.Command{
		Use: to + " ID", Short: short, Args: cobra.ExactArgs(1), Example: "  sigpost task " + to + " qtask_2Xk…",
		RunE: func(c *cobra.Command, args []string) error {
			path, err := pathOf(tasksPath, args[0])
			if err != nil {
				return err
			}
			return p.with(c.Context(), l, func(cl *client) error {
				var t taskRow
				if err := cl.call(c.Context(), http.MethodPost, path+"/"+to, nil, &t); err != nil {
					return err
				}
				return p.showTask(l, &t)
			})
		},
	}
}

func (c *client) task(ctx context.Context, id string) (t taskRow, err error) {
	path, err := pathOf(tasksPath, id)
	if err != nil {
		return t, err
	}
	err = c.call(ctx, http.MethodGet, path, nil, &t)
	return t, err
}

// watchTask shows how far a task is whenever that has changed, until it is over. One
// that is paused is still waited for: it may be resumed.
func (p *program) watchTask(ctx context.Context, l *place, cl *client, id string) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	last := ""
	for {
		t, err := cl.task(ctx, id)
		if ctx.Err() != nil {
			return fmt.Errorf("task %s goes on; `sigpost task cancel %s` ends it", id, id)
		}
		if err != nil {
			return err
		}
		if t.of.State.Over() {
			if err := p.showTask(l, &t); err != nil {
				return err
			}
			if t.of.State == hook.TaskFailed {
				return &exitError{code: ExitInvalid}
			}
			return nil
		}
		if line := string(t.of.State) + "  " + t.progress(); line != last {
			fmt.Fprintln(p.err, line)
			last = line
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// showTask prints a task.
func (p *program) showTask(l *place, t *taskRow) error {
	if l.json {
		return p.printJSON(t.BackgroundTaskOut)
	}
	fmt.Fprintf(p.out, "%s  %s  %s\n", t.ID, t.of.Kind, t.of.State)
	if t.of.EndpointID != "" {
		fmt.Fprintf(p.out, "  endpoint  %s\n", t.of.EndpointID)
	}
	if line := t.progress(); line != "" {
		fmt.Fprintf(p.out, "  progress  %s\n", line)
	}
	for _, id := range t.of.Examples {
		fmt.Fprintf(p.out, "  such as   %s\n", id)
	}
	if t.of.UnderWay > 0 {
		fmt.Fprintf(p.out, "  waits     for %d that may be under way\n", t.of.UnderWay)
	}
	if t.of.Error != "" {
		fmt.Fprintf(p.out, "  error     %s\n", t.of.Error)
	}
	return nil
}

// progress is how far a task is, in words; empty where its data does not say.
func (t *taskRow) progress() string {
	d := &t.of
	var done string
	switch {
	case !strings.HasPrefix(d.Kind, "endpoint."):
		return ""
	case d.WouldCancel != nil:
		done = fmt.Sprintf("would cancel %d", *d.WouldCancel)
	case d.WouldSend != nil:
		done = fmt.Sprintf("would send %d", *d.WouldSend)
	case d.Kind == string(hook.TaskCancelPending):
		done = fmt.Sprintf("canceled %d", d.MessagesCanceled)
	default:
		done = fmt.Sprintf("sent %d", d.MessagesSent)
	}
	if total := d.Progress.Total; total != nil {
		return fmt.Sprintf("%s, looked at %d of %d", done, d.Progress.Looked, *total)
	}
	return fmt.Sprintf("%s, looked at %d", done, d.Progress.Looked)
}
