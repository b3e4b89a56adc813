// Publishes JSON lines, each a lodewatch.v1.Update, in batches that are applied once, even if
// either side crashes.
//
//	publish FEED FILE HOST:PORT [HOST:PORT ...]
//
// A batch without a reply is sent again under its request_id, to the next server. A rejection names
// every invalid field.
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log"
	mathrand "math/rand"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	v1 "lodewatch/v1"
)

const (
	batchMax         = 100
	answerMax        = 10 * time.Second
	waitMin, waitMax = 100 * time.Millisecond, 5 * time.Second
)

// ResourceExhausted: a limit is reached, or the disk is full. A batch that is too large for any
// server gets it as well.
var retryable = map[codes.Code]bool{
	codes.Unavailable: true, codes.Canceled: true, codes.Unknown: true, codes.Internal: true,
	codes.DeadlineExceeded: true, codes.ResourceExhausted: true,
}

type line struct {
	number int
	update *v1.Update
}

func read(path string) (lines []line) {
	text, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	for index, json := range strings.Split(string(text), "\n") {
		if strings.TrimSpace(json) == "" {
			continue
		}
		update := new(v1.Update)
		if err := protojson.Unmarshal([]byte(json), update); err != nil {
			log.Fatalf("%s:%d: %v", path, index+1, err)
		}
		lines = append(lines, line{index + 1, update})
	}
	return lines
}

// publish returns once the batch is durable and applied. An error means that it was rejected.
func publish(servers []string, request *v1.PublishRequest) (*v1.PublishResponse, error) {
	wait := waitMin
	for turn := 0; ; turn++ {
		server := servers[turn%len(servers)]
		answer, err := try(server, request)
		if !retryable[status.Code(err)] {
			return answer, err
		}
		log.Printf("%s: %v; retrying the batch", server, status.Code(err))
		time.Sleep(time.Duration(float64(wait) * (1 + mathrand.Float64())))
		if wait *= 2; wait > waitMax {
			wait = waitMax
		}
	}
}

func try(server string, request *v1.PublishRequest) (*v1.PublishResponse, error) {
	connection, err := grpc.Dial(server, grpc.WithInsecure())
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), answerMax)
	defer cancel()
	return v1.NewFeedServiceClient(connection).Publish(ctx, request)
}

// requestID is a random UUID, version 4.
func requestID() string {
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		log.Fatal(err)
	}
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

func main() {
	if len(os.Args) < 4 {
		log.Fatal("usage: publish FEED FILE HOST:PORT [HOST:PORT ...]")
	}
	mathrand.Seed(time.Now().UnixNano())
	for rest := read(os.Args[2]); len(rest) > 0; {
		batch := rest
		if len(batch) > batchMax {
			batch = batch[:batchMax]
		}
		rest = rest[len(batch):]
		request := &v1.PublishRequest{RequestId: requestID(), Feed: os.Args[1]}
		for _, line := range batch {
			request.Updates = append(request.Updates, line.update)
		}
		where := fmt.Sprintf("lines %d to %d", batch[0].number, batch[len(batch)-1].number)
		answer, err := publish(os.Args[3:], request)
		if err != nil {
			// Names every invalid field; updates[0] is the first line of the batch.
			log.Fatalf("%s: %v", where, err)
		}
		applied := 0
		for _, result := range answer.Results {
			if result.Outcome == v1.Outcome_OUTCOME_APPLIED {
				applied++
			}
		}
		fmt.Printf("%s: %d applied, %d alerts\n", where, applied, len(answer.AlertSequences))
	}
}
