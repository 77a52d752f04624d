package send

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/sigpost/sigpost/internal/hook"
)

// nameServer answers each look-up with the next of its answers, and with the last from then on. They
// expire at once.
type nameServer struct {
	mu      sync.Mutex
	answers [][]string
	asked   int
}

// resolver asks it, over a connection in memory.
func (n *nameServer) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go n.serve(far)
		return near, nil
	}}
}

// serve answers as over TCP: each message behind its length.
func (n *nameServer) serve(c net.Conn) {
	defer c.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		raw := make([]byte, int(size[0])<<8|int(size[1]))
		if _, err := io.ReadFull(c, raw); err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(raw) != nil || len(m.Questions) != 1 {
			return
		}
		m.Response, m.Additionals = true, nil
		if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
			for _, address := range n.next() {
				m.Answers = append(m.Answers, dnsmessage.Resource{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}, Body: &dnsmessage.AResource{A: netip.MustParseAddr(address).As4()},
				})
			}
		}
		packed, err := m.Pack()
		if err != nil {
			return
		}
		if _, err := c.Write(append([]byte{byte(len(packed) >> 8), byte(len(packed))}, packed...)); err != nil {
			return
		}
	}
}

func (n *nameServer) next() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	answer := n.answers[min(n.asked, len(n.answers)-1)]
	n.asked++
	return answer
}

// A name that leads to an allowed address when it is looked at first, and to a forbidden one then, is
// forbidden then: the guard sees what is dialled, each time.
func TestANameThatChangesItsAddressLeadsNowhere(t *testing.T) {
	t.Parallel()
	allowed := []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}
	var good, trapped atomic.Int64
	// Both listen on one port: only the address tells them apart.
	first, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(first.Addr().String())
	second, err := net.Listen("tcp", "127.0.0.2:"+port)
	if err != nil {
		t.Skipf("127.0.0.2 is not there: %v", err)
	}
	for l, count := range map[net.Listener]*atomic.Int64{first: &trapped, second: &good} {
		srv := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			count.Add(1)
			w.Header().Set("Connection", "close") // so that each attempt looks the name up
		})}}
		srv.Start()
		defer srv.Close()
	}
	for name, c := range map[string]struct {
		answers [][]string
		want    []hook.Outcome
	}{
		"changes":              {[][]string{{"127.0.0.2"}, {"127.0.0.1"}}, []hook.Outcome{hook.OutcomeDelivered, hook.OutcomeForbidden}},
		"changes back":         {[][]string{{"127.0.0.1"}, {"127.0.0.2"}}, []hook.Outcome{hook.OutcomeForbidden, hook.OutcomeDelivered}},
		"a bad one behind":     {[][]string{{"127.0.0.2", "127.0.0.1"}}, []hook.Outcome{hook.OutcomeDelivered, hook.OutcomeDelivered}},
		"a bad one in front":   {[][]string{{"127.0.0.1", "127.0.0.2"}}, []hook.Outcome{hook.OutcomeDelivered, hook.OutcomeDelivered}},
		"metadata of a cloud":  {[][]string{{"169.254.169.254"}}, []hook.Outcome{hook.OutcomeForbidden}},
		"only bad ones":        {[][]string{{"10.0.0.1", "127.0.0.1", "192.168.0.1"}}, []hook.Outcome{hook.OutcomeForbidden}},
		"no address":           {[][]string{{}}, []hook.Outcome{hook.OutcomeDNS}},
		"its own, not private": {[][]string{{"0.0.0.0"}}, []hook.Outcome{hook.OutcomeForbidden}},
	} {
		for _, body := range []int{10, plainBody + 1} { // the latter by net/http
			names := &nameServer{answers: c.answers}
			dialer := guarded(Options{AllowNets: allowed})
			dialer.Resolver = names.resolver()
			client := newClientOn(dialer.DialContext)
			target := newTarget(t, client, hook.Endpoint{URL: "http://changing.example.com:" + port})
			m := message()
			m.Body = []byte(strings.Repeat("x", body))
			for i, want := range c.want {
				if a := target.Attempt(context.Background(), m, &hook.Delivery{}); a.Outcome != want {
					t.Errorf("%s, %d bytes: attempt %d is %s %q, %s is right", name, body, i+1, a.Outcome, a.Reason, want)
				}
			}
			client.Close()
		}
	}
	if trapped.Load() != 0 || good.Load() == 0 {
		t.Errorf("the forbidden address was reached %d times, the allowed one %d times", trapped.Load(), good.Load())
	}
}

// Of an answer no more is read than what is kept and what lets a connection be used again.
func TestAnAnswerIsReadNoFurtherThanNeeded(t *testing.T) {
	t.Parallel()
	for name, head := range map[string]string{
		"a length":  "HTTP/1.1 500 No\r\nContent-Length: 1073741824\r\n\r\n",
		"chunks":    "HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n40000000\r\n",
		"no length": "HTTP/1.1 500 No\r\n\r\n",
	} {
		for _, body := range []int{10, plainBody + 1} {
			t.Run(fmt.Sprint(name, body), func(t *testing.T) {
				t.Parallel()
				sent := make(chan int, 1)
				client := newClientOn(pipe(func(conn net.Conn) {
					defer conn.Close()
					io.ReadFull(conn, make([]byte, body)) // of the request; the rest is read meanwhile
					go io.Copy(io.Discard, conn)
					total := 0
					_, err := io.WriteString(conn, head)
					for block := make([]byte, 1024); err == nil; total += len(block) {
						_, err = conn.Write(block)
					}
					sent <- total
				}))
				defer client.Close()
				m := message()
				m.Body = []byte(strings.Repeat("x", body))
				a := newTarget(t, client, hook.Endpoint{URL: "http://receiver/"}).Attempt(context.Background(), m, &hook.Delivery{})
				if a.Outcome != hook.OutcomeStatus || len(a.Response) != keptResponse {
					t.Errorf("%s %q, %d bytes kept", a.Outcome, a.Reason, len(a.Response))
				}
				if n := <-sent; n > keptResponse+drainedResponse+16<<10 {
					t.Errorf("%d bytes were read", n)
				}
			})
		}
	}
}
