package send

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/sigpost/sigpost/internal/hook"
)

// What a receiver sends after its answer is not taken for the next one: an event
// that it never got would count as delivered.
func TestLeftoversAreNoAnswer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var took atomic.Int64
	forged := make(chan struct{}, 10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				in := bufio.NewReader(c)
				for {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					io.Copy(io.Discard, r.Body)
					took.Add(1)
					io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue")
					<-forged
					io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
					forged <- struct{}{}
				}
			}()
		}
	}()
	target := newTarget(t, client(t, loopback), hook.Endpoint{URL: "http://" + l.Addr().String()})
	for n := range 3 {
		a := target.Attempt(context.Background(), message(), &hook.Delivery{})
		if a.Outcome != hook.OutcomeDelivered || string(a.Response) != "true" {
			t.Errorf("attempt %d: %s %q %s", n, a.Outcome, a.Response, a.Reason)
		}
		forged <- struct{}{}
		<-forged // it is on its way by now
	}
	if n := took.Load(); n != 3 {
		t.Errorf("%d of 3 were taken", n)
	}
}
