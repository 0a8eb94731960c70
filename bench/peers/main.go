// bench/peers/main.go -- the questions of bench/, asked of Go
//
// Use: peers QUESTION, with GOMAXPROCS in the environment. It prints one figure,
// in the unit that the question of that name has in bench/bench_QUESTION.c; for
// QUESTION_peak, the peak of memory in MiB. Exit status 3: it is not asked here.
package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

var questions = map[string]func() float64{
	"yield":      yield,
	"yields":     yields,
	"spawn":      spawn,
	"spawn_join": spawn,
	"children":   children,
	"fib":        fibonacci,
	"skynet":     skynet,
	"parked":     parked,
	"sleeps":     sleeps,
	"idle":       idle,
}

// nsEach is the time that work takes, divided by count.
func nsEach(count int, work func()) float64 {
	begin := time.Now()
	work()
	return float64(time.Since(begin).Nanoseconds()) / float64(count)
}

// cpuSeconds is the user and system time of this process.
func cpuSeconds() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

// resident is the memory of this process that is resident, in bytes.
func resident() float64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		panic(err)
	}
	var size, pages int
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		panic(err)
	}
	return float64(pages) * float64(os.Getpagesize())
}

// peakMiB is the most memory that was resident at a time.
func peakMiB() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return float64(usage.Maxrss) / 1024
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "use: peers QUESTION")
		os.Exit(2)
	}
	name := strings.TrimSuffix(os.Args[1], "_peak")
	ask, known := questions[name]
	if !known {
		os.Exit(3)
	}
	figure := ask()
	if name != os.Args[1] {
		figure = peakMiB()
	}
	fmt.Printf("%.6g\n", figure)
}
