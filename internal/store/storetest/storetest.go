// Package storetest is what every engine of the store must do. A new behaviour
// of the store is first a test here.
package storetest

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/internal/store"
)

// Opener opens the store that belongs to a name, anew each time, so that a test can
// close it and come back.
type Opener func(t testing.TB, name string) *store.Store

// Run runs the whole suite.
func Run(t *testing.T, open Opener) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, open Opener)
	}{
		{"AppendKeepsWhatItWasGiven", appendKeeps},
		{"EqualEventsAtOnceMakeOneMessage", equalAtOnce},
		{"DuplicateIsKnownAfterRestart", duplicateAfterRestart},
		{"DuplicateIsCountedAndRedeliveredOnlyOnDemand", duplicateRedelivered},
		{"RecordKeepsTheChainOfAttempts", recordChain},
		{"RecordRefusesAnotherHolder", recordRefuses},
		{"ClaimTakesOnlyWhatIsDueAndFree", claimDue},
		{"ClaimTakesTheWorkOfTheDead", claimDead},
		{"WhatTheDeadHeldIsDueWhateverTheClock", claimAhead},
		{"HeldDeliveriesAreReleasedAtAPace", heldReleased},
		{"ResendBeginsANewWindow", resend},
		{"OneBadUnitSpoilsNoOther", oneBadUnit},
		{"ListGoesBackWithoutGapOrRepeat", listPages},
		{"MessagesOfAnOrganizationAreItsOwn", orgMessages},
		{"DeliveriesAreDisabledCanceledAndLookedUp", lookUps},
		{"PayloadsExpireOnTheirOwn", expire},
		{"TextThatNoColumnHoldsIsKeptInAnotherForm", unsafeText},
		{"RejectedAreBounded", rejectedBounds},
		{"QuarantineIsNeverDropped", quarantine},
		{"FileDecidesAboutSourcesAndEndpoints", applyFile},
		{"TokensMoveBetweenSources", tokens},
		{"OrganizationsAreMadeOnFirstUse", organizations},
		{"ApplicationsHaveUidsOfTheirOwn", applications},
		{"ApplicationsArePagedAndFiltered", applicationPages},
		{"EndpointsHaveUidsOfTheirOwn", apiEndpoints},
		{"WhatTheFileManagesIsReadOnly", fileManaged},
		{"NothingOfAnotherIsThere", isolation},
		{"DeletedEndpointGetsNothing", deleteEndpoint},
		{"DeletedApplicationGetsNothingAndIsPurged", deleteApplication},
		{"ExpungedPayloadIsGoneAndNotDelivered", expunge},
		{"ExpungedResponseIsGone", expungeResponse},
		{"EqualRequestsAtOnceMakeOneMessage", repeatsAtOnce},
		{"AnotherRequestWithTheSameKeyFailsAlone", otherRequest},
		{"MessagesWithoutAHashAreEachAnEvent", zeroHash},
		{"RequestOfAKnownEventIsRemembered", duplicateWithKey},
		{"AnswersOfRequestsAreKept", answers},
		{"ChannelsTagsAndExpiryAreKept", channels},
		{"RotatedSecretsStayValidForTheirGrace", rotateSecret},
		{"SourcesOfTheAPIHaveHiddenApplications", apiSources},
		{"RotatedTokensOfSourcesStayValid", rotateSource},
		{"ChangesOfWhatWasReadBeforeAreRefused", staleChanges},
		{"ChangesAtOnceAreEachMadeOfTheLast", changesAtOnce},
		{"TokensExpire", apiTokens},
		{"NamesOfPeopleAreOneSpaceAndTheirRowsAreNot", users},
		{"LinkSignsInOnce", links},
		{"WhatIsKeptIsCountedOnce", counts},
		{"OldCountsBecomeHours", countsRolled},
		{"BacklogIsCountedAndItsOldestFound", backlog},
		{"AuditLogIsChosenFromPagedAndForgotten", auditLog},
		{"SessionsEndWithPasswordStateAndTime", sessions},
		{"EventTypesAreArchivedAndRevived", eventTypes},
		{"TasksGoOnAfterARestart", tasks},
		{"TasksArePausedAndCanceled", moveTask},
		{"TaskIsBegunUnlessOneUnderWayForbidsIt", beginTask},
		{"StepOfATaskIsMadeOnceOrNotAtAll", stepOnce},
		{"StepSendsAgainWhatIsStillAsItWas", stepAgain},
		{"StepAddsLateDeliveriesOnce", stepMakes},
		{"StepCancelsWhatIsPendingOrHeld", stepCancels},
		{"DueDeliveriesAreCountedWhoeverHasThem", countDue},
		{"DeliveriesOfManyAreThoseOfEach", deliveriesOfMany},
		{"WhatALivingProcessHasIsInMemory", inMemory},
		{"ListsOfMessagesChooseAndNeitherSkipNorRepeat", listsOfMessages},
		{"ListsOfDeliveriesChooseAndNeitherSkipNorRepeat", listsOfDeliveries},
		{"ListsOfAttemptsChooseAndNeitherSkipNorRepeat", listsOfAttempts},
		{"ListsBySubjectAndEventIDFindIndexedAndNew", listsBySubject},
		{"ListsAreTheSameBeforeAndAfterIndexAndRestart", listsAfterRestart},
		{"StatisticsCountIndexedAndNew", statistics},
		{"OldMessagesGoWithAllThatBelongsToThem", oldMessages},
		{"OldPayloadsGoAndTheirMessagesStay", oldPayloads},
		{"PayloadsWithAnEndOfTheirOwnStayUntilThen", payloadsWithAnEnd},
		{"OldAttemptsGoAndTheirDeliveriesStay", oldAttempts},
		{"HealthIsKeptAndWarnedOfOnce", healthIsKept},
		{"RetriesOfAnOutageAreBroughtForwardOnce", broughtForward},
		{"WhatIsDueIsFoundForEachEndpoint", firstDue},
		{"AlertsAreClaimedOnce", alertClaims},
		{"DisabledEndpointsAreFoundUntilTheyAreTold", disabledUntold},
		{"GapsBetweenMessagesAreFoundByJumping", messageGaps},
		{"ANewerStateMakesAMessageStale", stale},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, open)
		})
	}
}

var ctx = context.Background()

const (
	app      hook.Key = 77
	endpoint hook.Key = 99
)

// event makes an event of its own, received now, with n deliveries that holder has.
func event(n int, holder hook.Key) *hook.Append {
	now := time.Now().Truncate(time.Millisecond).UTC()
	a := &hook.Append{Message: hook.Message{
		Org: store.DefaultOrg, App: app, ReceivedAt: now,
		Event: hook.Event{Type: "veriff.decision.approved", ID: "evt", Family: "veriff.decision", Rank: 3, OccurredAt: now.Add(-time.Second),
			Subjects: []hook.Subject{{Kind: "session", ID: "s-1"}, {Kind: "end_user", ID: "ü"}}},
		Headers: []hook.Header{{Name: "Content-Type", Value: "application/json"}, {Name: "X-Two", Value: `a"b`}, {Name: "X-Two", Value: ""}},
		Body:    []byte("{\"a\":\"\x00\xff\"}\n"),
	}}
	rand.Read(a.Hash[:])
	for i := range n {
		a.Deliveries = append(a.Deliveries, hook.Delivery{Org: store.DefaultOrg, Endpoint: endpoint + hook.Key(i), State: hook.Pending, NextAt: now, Since: now, Holder: holder})
	}
	return a
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mustAppend(t *testing.T, s *store.Store, a *hook.Append) *hook.Append {
	t.Helper()
	must(t, s.Append(ctx, a))
	return a
}

func deliveries(t *testing.T, s *store.Store, m *hook.Message) []hook.Delivery {
	t.Helper()
	list, err := s.Deliveries(ctx, m)
	must(t, err)
	return list
}

func appendKeeps(t *testing.T, open Opener) {
	s := open(t, t.Name())
	a := mustAppend(t, s, event(3, s.Incarnation()))
	if a.Duplicate || a.Message.ID == 0 {
		t.Fatalf("a new event is a duplicate, or has no key: %+v", a)
	}
	got, err := s.Message(ctx, a.Message.ID)
	must(t, err)
	want := a.Message
	want.Size, want.Fanout = len(want.Body), 3
	if d := cmp.Diff(want, *got); d != "" {
		t.Errorf("message differs (-kept +read):\n%s", d)
	}
	if d := cmp.Diff(a.Deliveries, deliveries(t, s, got)); d != "" {
		t.Errorf("deliveries differ (-kept +read):\n%s", d)
	}
	if _, err := s.Message(ctx, a.Message.ID+1000); hook.CodeOf(err) != hook.CodeNotFound {
		t.Errorf("reading a message that is not there: %v", err)
	}
}

func equalAtOnce(t *testing.T, open Opener) {
	s := open(t, t.Name())
	first := event(1, 0)
	var wg sync.WaitGroup
	appends := make([]*hook.Append, 64)
	for i := range appends {
		a := event(1, 0)
		a.Hash = first.Hash
		appends[i] = a
		wg.Go(func() {
			if err := s.Append(ctx, a); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	fresh := 0
	for _, a := range appends {
		if !a.Duplicate {
			fresh++
		}
		if a.Message.ID != appends[0].Message.ID {
			t.Errorf("two ids for one event: %d and %d", a.Message.ID, appends[0].Message.ID)
		}
	}
	m, err := s.Message(ctx, appends[0].Message.ID)
	must(t, err)
	if fresh != 1 || m.Duplicates != 63 {
		t.Errorf("%d were new, %d counted as duplicates; 1 and 63 are right", fresh, m.Duplicates)
	}
	if n := len(deliveries(t, s, m)); n != 1 {
		t.Errorf("%d deliveries, 1 is right", n)
	}
}

func duplicateAfterRestart(t *testing.T, open Opener) {
	s := open(t, t.Name())
	a := mustAppend(t, s, event(0, 0))
	must(t, s.Close())
	s = open(t, t.Name())
	again := event(0, 0)
	again.Hash = a.Hash
	mustAppend(t, s, again)
	if !again.Duplicate || again.Message.ID != a.Message.ID {
		t.Errorf("after a restart the same event is new: %+v", again)
	}
}

func duplicateRedelivered(t *testing.T, open Opener) {
	s := open(t, t.Name())
	a := mustAppend(t, s, event(1, 0))
	dropped := event(1, 0)
	dropped.Hash = a.Hash
	mustAppend(t, s, dropped)
	if len(dropped.Deliveries) != 0 {
		t.Error("a duplicate made a delivery that nobody asked for")
	}
	forwarded := event(1, 0)
	forwarded.Hash, forwarded.Redeliver = a.Hash, true
	mustAppend(t, s, forwarded)
	list := deliveries(t, s, &a.Message)
	if len(list) != 2 || list[1].Trigger != hook.Duplicate || list[1].Message != a.Message.ID {
		t.Errorf("deliveries after a forwarded duplicate: %+v", list)
	}
	m, err := s.Message(ctx, a.Message.ID)
	must(t, err)
	if m.Duplicates != 2 || m.LastDuplicateAt.IsZero() {
		t.Errorf("%d duplicates counted, the last at %v", m.Duplicates, m.LastDuplicateAt)
	}
}

func attempt(number int, outcome hook.Outcome) *hook.Attempt {
	return &hook.Attempt{Number: number, At: time.Now().Truncate(time.Millisecond).UTC(), Duration: 1500 * time.Microsecond, Outcome: outcome, Status: 500, Response: []byte("no"), Reason: "answered 500"}
}

func recordChain(t *testing.T, open Opener) {
	s := open(t, t.Name())
	a := mustAppend(t, s, event(1, s.Incarnation()))
	var want []hook.Attempt
	for n := 1; n <= 3; n++ {
		claimed := []hook.Delivery{a.Deliveries[0]}
		if n > 1 {
			var err error
			claimed, _, err = s.Claim(ctx, endpoint, time.Now(), 10)
			must(t, err)
		}
		r := &hook.Record{Delivery: claimed[0], Attempt: attempt(n, hook.OutcomeStatus), State: hook.Pending, NextAt: time.Now()}
		must(t, s.Record(ctx, []*hook.Record{r}))
		if r.Refused || r.Attempt.ID == 0 {
			t.Fatalf("record %d was refused: %+v", n, r)
		}
		got := *r.Attempt
		got.Delivery, got.Message, got.Endpoint, got.Previous = claimed[0].ID, a.Message.ID, endpoint, claimed[0].LastAttempt
		want = append(want, got)
	}
	list := deliveries(t, s, &a.Message)
	if list[0].Attempts != 3 || list[0].Failures != 3 || list[0].Holder != 0 {
		t.Errorf("delivery after three failures: %+v", list[0])
	}
	got, err := s.Attempts(ctx, &list[0])
	must(t, err)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("attempts differ (-made +read):\n%s", d)
	}
}

func recordRefuses(t *testing.T, open Opener) {
	s := open(t, t.Name())
	a := mustAppend(t, s, event(1, s.Incarnation()))
	other := a.Deliveries[0]
	other.Holder = s.Incarnation() - 1
	r := &hook.Record{Delivery: other, Attempt: attempt(1, hook.OutcomeDelivered), State: hook.Delivered}
	must(t, s.Record(ctx, []*hook.Record{r}))
	d := deliveries(t, s, &a.Message)[0]
	if !r.Refused || d.State != hook.Pending || d.LastAttempt != 0 {
		t.Errorf("a record of another holder was taken: refused=%v %+v", r.Refused, d)
	}
}

func claimDue(t *testing.T, open Opener) {
	s := open(t, t.Name())
	now := time.Now().Truncate(time.Millisecond)
	for i, due := range []time.Duration{-3 * time.Second, -time.Second, -2 * time.Second, time.Hour} {
		a := event(1, 0)
		a.Deliveries[0].NextAt = now.Add(due)
		if i == 1 {
			a.Deliveries[0].Holder = s.Incarnation()
		}
		mustAppend(t, s, a)
	}
	byEndpoint, err := s.DueByEndpoint(ctx)
	must(t, err)
	if !byEndpoint[endpoint].Equal(now.Add(-3 * time.Second)) {
		t.Errorf("the first is due at %v", byEndpoint[endpoint])
	}
	first, next, err := s.Claim(ctx, endpoint, now, 1)
	must(t, err)
	if len(first) != 1 || !first[0].NextAt.Equal(now.Add(-3*time.Second)) || !next.Equal(now.Add(-2*time.Second)) || first[0].Holder != s.Incarnation() {
		t.Errorf("claim of one: %+v, next %v", first, next)
	}
	rest, next, err := s.Claim(ctx, endpoint, now, 10)
	must(t, err)
	if len(rest) != 1 || !next.Equal(now.Add(time.Hour)) {
		t.Errorf("claim of the rest: %+v, next %v", rest, next)
	}
}

func claimDead(t *testing.T, open Opener) {
	s := open(t, t.Name())
	dead := s.Incarnation()
	mustAppend(t, s, event(1, dead))
	must(t, s.Close())
	s = open(t, t.Name())
	due, err := s.DueByEndpoint(ctx)
	must(t, err)
	claimed, _, err := s.Claim(ctx, endpoint, time.Now(), 10)
	must(t, err)
	if len(due) != 1 || len(claimed) != 1 || claimed[0].Holder != s.Incarnation() || s.Incarnation() <= dead {
		t.Errorf("what a dead incarnation held was not claimed: due %v, claimed %+v", due, claimed)
	}
}

// claimAhead: what the dead held was due by their clock, which may have been ahead.
func claimAhead(t *testing.T, open Opener) {
	s := open(t, t.Name())
	held, free := event(3, s.Incarnation()), event(1, 0)
	ahead := time.Now().Add(time.Minute).Truncate(time.Millisecond)
	for _, a := range []*hook.Append{held, free} {
		for i := range a.Deliveries {
			a.Deliveries[i].Endpoint, a.Deliveries[i].NextAt = endpoint, ahead
		}
		mustAppend(t, s, a)
	}
	must(t, s.Close())
	s = open(t, t.Name())
	due, err := s.DueByEndpoint(ctx)
	must(t, err)
	if at, ok := due[endpoint]; !ok || at.After(time.Now()) {
		t.Errorf("what the dead held is due at %v", at)
	}
	claimed, next, err := s.Claim(ctx, endpoint, time.Now(), 2)
	must(t, err)
	if len(claimed) != 2 || next.IsZero() || next.After(time.Now()) {
		t.Errorf("claimed %+v, the next is due at %v", claimed, next)
	}
	claimed, next, err = s.Claim(ctx, endpoint, time.Now(), 10)
	must(t, err)
	if len(claimed) != 1 || claimed[0].Message != held.Message.ID || !next.Equal(ahead) {
		t.Errorf("claimed %+v, the next is due at %v; what nobody held is due at %v", claimed, next, ahead)
	}
}

func heldReleased(t *testing.T, open Opener) {
	s := open(t, t.Name())
	var last *hook.Append
	for range 3 {
		last = event(1, 0)
		last.Deliveries[0].State = hook.Held
		mustAppend(t, s, last)
	}
	if claimed, _, _ := s.Claim(ctx, endpoint, time.Now().Add(time.Hour), 10); len(claimed) != 0 {
		t.Fatalf("held deliveries were claimed: %+v", claimed)
	}
	now := time.Now().Add(30 * 24 * time.Hour).Truncate(time.Millisecond)
	n, err := s.ReleaseHeld(ctx, endpoint, now, time.Second, 100)
	must(t, err)
	d := deliveries(t, s, &last.Message)[0]
	if n != 3 || d.State != hook.Pending || !d.NextAt.Equal(now.Add(2*time.Second)) || !d.Since.Equal(d.NextAt) {
		t.Errorf("%d released, the last: %+v", n, d)
	}
	n, err = s.HoldPending(ctx, endpoint)
	must(t, err)
	if d := deliveries(t, s, &last.Message)[0]; n != 3 || d.State != hook.Held {
		t.Errorf("%d held again, the last: %+v", n, d)
	}
}

func resend(t *testing.T, open Opener) {
	s := open(t, t.Name())
	a := mustAppend(t, s, event(1, s.Incarnation()))
	d := a.Deliveries[0]
	if err := s.Resend(ctx, d.ID, time.Now()); hook.CodeOf(err) != hook.CodeConflict {
		t.Errorf("resending what is in memory: %v", err)
	}
	must(t, s.Record(ctx, []*hook.Record{{Delivery: d, Attempt: attempt(1, hook.OutcomeStatus), State: hook.Failed}}))
	now := time.Now().Add(time.Hour).Truncate(time.Millisecond).UTC()
	must(t, s.Resend(ctx, d.ID, now))
	got := deliveries(t, s, &a.Message)[0]
	if got.State != hook.Pending || !got.Since.Equal(now) || got.Failures != 0 || got.Attempts != 1 || got.Trigger != hook.Manual {
		t.Errorf("after resend: %+v", got)
	}
}

func oneBadUnit(t *testing.T, open Opener) {
	s := open(t, t.Name())
	must(t, s.Append(ctx, event(0, 0))) // one after another, so the others meet in one batch
	var wg sync.WaitGroup
	var failed, kept int
	var mu sync.Mutex
	for i := range 40 {
		wg.Go(func() {
			var err error
			if i%10 == 0 {
				err = s.MarkAccepted(ctx, 12345, 1) // there is no such request
			} else {
				err = s.Append(ctx, event(1, 0))
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed++
			} else {
				kept++
			}
		})
	}
	wg.Wait()
	list, _, err := s.ListMessages(ctx, hook.MessageFilter{Org: 1, Page: hook.Page{Limit: 100}})
	must(t, err)
	if failed != 4 || kept != 36 || len(list) != 37 {
		t.Errorf("%d failed, %d were kept, %d are there; 4, 36 and 37 are right", failed, kept, len(list))
	}
}

func listPages(t *testing.T, open Opener) {
	s := open(t, t.Name())
	var want []hook.Key
	for i := range 25 {
		a := event(0, 0)
		a.Message.Type = fmt.Sprintf("t.%d", i%2)
		mustAppend(t, s, a)
		if i%2 == 0 {
			want = append([]hook.Key{a.Message.ID}, want...)
		}
	}
	var got []hook.Key
	f := hook.MessageFilter{Org: 1, App: app, Types: []string{"*.0"}, Page: hook.Page{Limit: 4}}
	for {
		page, next, err := s.ListMessages(ctx, f)
		must(t, err)
		for _, m := range page {
			got = append(got, m.ID)
		}
		mustAppend(t, s, event(0, 0)) // messages go on arriving
		if f.Page.After = next; next == 0 {
			break
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("pages differ (-want +got):\n%s", d)
	}
}
