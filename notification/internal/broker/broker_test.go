package broker_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/format"
	"github.com/registrykit/registry/notification/internal/broker"
)

// formatFunc is a format of one event.
type formatFunc func(e notification.Event) ([]format.Message, error)

func (f formatFunc) Encode(events []notification.Event) ([]format.Message, error) {
	return f(events[0])
}

var pushed = notification.Event{ID: "1", Action: notification.Push, Repository: "ann/app"}

// sent returns a sender that keeps what it sends.
func sent(t *testing.T, f format.Format) (*broker.Sender, *[]broker.Message) {
	t.Helper()
	var messages []broker.Message
	s, err := broker.NewSender(f, 0, func(_ context.Context, m broker.Message) error {
		messages = append(messages, m)
		return nil
	})
	require.NoError(t, err)
	return s, &messages
}

func TestMessageHasKeyAndAttributes(t *testing.T) {
	s, messages := sent(t, format.JSON())
	require.NoError(t, s.Notify(t.Context(), []notification.Event{pushed}))
	require.Len(t, *messages, 1)
	m := (*messages)[0]
	require.Equal(t, "ann/app", m.Key)
	require.Equal(t, "1", m.ID)
	require.Equal(t, map[string]string{
		"id": "1", "action": "push", "repository": "ann/app", "content-type": "application/json",
	}, m.Attributes)
	require.JSONEq(t, `{"events": [`+pushed.String()+`]}`, string(m.Body))
}

func TestMessageOfDefaultFormatIsCloudEvent(t *testing.T) {
	s, messages := sent(t, nil)
	require.NoError(t, s.Notify(t.Context(), []notification.Event{pushed}))
	m := (*messages)[0]
	require.Contains(t, m.Attributes["content-type"], "application/cloudevents+json")
	var e struct{ SpecVersion, ID string }
	require.NoError(t, json.Unmarshal(m.Body, &e))
	require.Equal(t, "1.0", e.SpecVersion)
	require.Equal(t, "1", e.ID)
}

// TestMessageAttributesCannotBreakHeaders sends names that no registry accepts, which a host can
// still put into its own events.
func TestMessageAttributesCannotBreakHeaders(t *testing.T) {
	s, messages := sent(t, formatFunc(func(notification.Event) ([]format.Message, error) {
		return []format.Message{{ID: "1", Header: http.Header{"Ce-Subject": {"a\r\nb"}}}}, nil
	}))
	e := notification.Event{ID: "1", Action: "x\r\nEvil: 1", Repository: "a\x00\xff/ü"}
	require.NoError(t, s.Notify(t.Context(), []notification.Event{e}))
	m := (*messages)[0]
	require.Equal(t, map[string]string{
		"id": "1", "action": "x\uFFFD\uFFFDEvil: 1", "repository": "a\uFFFD\uFFFD/ü", "ce-subject": "a\uFFFD\uFFFDb",
	}, m.Attributes)
	require.Equal(t, e.Repository, m.Key)
}

func TestSenderStopsAtFirstError(t *testing.T) {
	down := errors.New("down")
	var ids []string
	s, err := broker.NewSender(nil, 0, func(_ context.Context, m broker.Message) error {
		if m.ID == "3" {
			return down
		}
		ids = append(ids, m.ID)
		return nil
	})
	require.NoError(t, err)
	err = s.Notify(t.Context(), []notification.Event{{ID: "1"}, {ID: "2"}, {ID: "3"}, {ID: "4"}})
	require.ErrorIs(t, err, down)
	require.ErrorContains(t, err, "event 3: down")
	require.Equal(t, 2, notification.Delivered(err, 4))
	require.Equal(t, []string{"1", "2"}, ids)
}

// TestSenderCountsEventsNotMessages uses a format that makes two messages of one event and none of
// another.
func TestSenderCountsEventsNotMessages(t *testing.T) {
	s, messages := sent(t, formatFunc(func(e notification.Event) ([]format.Message, error) {
		switch e.ID {
		case "1":
			return []format.Message{{ID: "1a"}, {ID: "1b"}}, nil
		case "2":
			return nil, nil
		}
		return nil, errors.New("unknown action")
	}))
	err := s.Notify(t.Context(), []notification.Event{{ID: "1"}, {ID: "2"}, {ID: "3"}})
	require.ErrorIs(t, err, notification.ErrRefused)
	require.ErrorContains(t, err, "unknown action")
	require.Equal(t, 2, notification.Delivered(err, 3))
	require.Len(t, *messages, 2)
}

func TestSenderBoundsEachMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := broker.NewSender(nil, time.Minute, func(ctx context.Context, _ broker.Message) error {
			<-ctx.Done()
			return ctx.Err()
		})
		require.NoError(t, err)
		start := time.Now()
		require.ErrorIs(t, s.Notify(t.Context(), []notification.Event{pushed}), context.DeadlineExceeded)
		require.Equal(t, time.Minute, time.Since(start))
	})
}

func TestSenderRefusesNegativeTimeout(t *testing.T) {
	_, err := broker.NewSender(nil, -1, nil)
	require.ErrorContains(t, err, "negative timeout")
}
