// Prints each alert once, across restarts and lost connections: the loop of every subscriber.
//
//	subscribe CURSOR_FILE HOST:PORT [HOST:PORT ...]
//
// CURSOR_FILE keeps the cursor, so that the next run resumes where this one stopped. Without the
// file the stream starts with a snapshot of the active alerts.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"math/rand"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	v1 "lodewatch/v1"
)

const (
	heartbeatSeconds = 15
	// Two missing heartbeats mean a dead stream.
	silenceMax       = 2 * heartbeatSeconds * time.Second
	waitMin, waitMax = 100 * time.Millisecond, 5 * time.Second
)

// A lost connection is reported as any of several codes.
var retryable = map[codes.Code]bool{
	codes.Unavailable: true, codes.Canceled: true, codes.Unknown: true, codes.Internal: true,
	codes.DeadlineExceeded: true, codes.ResourceExhausted: true,
}

type subscription struct {
	cursor string
	wait   time.Duration
}

// follow handles messages across reconnects, until one cannot be handled or an error is not
// retryable.
func (s *subscription) follow(servers []string, handle func(*v1.SubscribeResponse) error) error {
	for turn := 0; ; turn++ {
		err := s.stream(servers[turn%len(servers)], handle)
		if !errors.Is(err, io.EOF) && !retryable[status.Code(err)] {
			return err
		}
		time.Sleep(time.Duration(float64(s.wait) * (1 + rand.Float64())))
		if s.wait *= 2; s.wait > waitMax {
			s.wait = waitMax
		}
	}
}

// stream handles the messages of one stream.
func (s *subscription) stream(server string, handle func(*v1.SubscribeResponse) error) error {
	connection, err := grpc.Dial(server, grpc.WithInsecure())
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	silence := time.AfterFunc(silenceMax, cancel)
	defer silence.Stop()
	request := &v1.SubscribeRequest{Cursor: s.cursor, HeartbeatSeconds: heartbeatSeconds}
	stream, err := v1.NewAlertServiceClient(connection).Subscribe(ctx, request)
	if err != nil {
		return err
	}
	for {
		message, err := stream.Recv()
		if err != nil {
			return err
		}
		silence.Stop()
		s.wait = waitMin
		if err := handle(message); err != nil {
			return status.Error(codes.Aborted, err.Error())
		}
		// Empty until the end of a snapshot: an interrupted one is sent again as a whole.
		if message.Cursor != "" {
			s.cursor = message.Cursor
		}
		if away := message.GetGoAway(); away != nil {
			s.wait = time.Duration(away.ReconnectAfterMs) * time.Millisecond
		}
		silence.Reset(silenceMax)
	}
}

func main() {
	if len(os.Args) < 3 {
		log.Fatal("usage: subscribe CURSOR_FILE HOST:PORT [HOST:PORT ...]")
	}
	path := os.Args[1]
	kept, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Fatal(err)
	}
	rand.Seed(time.Now().UnixNano())
	subscription := subscription{cursor: string(kept), wait: waitMin}
	log.Fatal(subscription.follow(os.Args[2:], func(message *v1.SubscribeResponse) error {
		for _, alert := range message.GetAlerts().GetAlerts() {
			fmt.Println(alert.Sequence, alert.Sentence)
		}
		if message.Cursor == "" {
			return nil
		}
		// Replace the file atomically. If alerts go to a database, save the cursor there, in the same
		// transaction.
		if err := os.WriteFile(path+".new", []byte(message.Cursor), 0o600); err != nil {
			return err
		}
		return os.Rename(path+".new", path)
	}))
}
