//go:build linux || darwin

package disk

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/driver"
)

// child runs the role of a process that startChild has started.
func child(role string, args []string) error {
	d, err := New(args[0], nil)
	if err != nil {
		return err
	}
	switch role {
	case "race":
		wins, err := contend(context.Background(), d, args[1])
		fmt.Println(wins)
		return err
	case "write":
		first, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		return writeForEver(d, first)
	}
	return fmt.Errorf("unknown role %q", role)
}

func startChild(t *testing.T, role string, args ...string) (cmd *exec.Cmd, stdout io.Reader) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd = exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(os.Environ(), childVariable+"="+role)
	cmd.Stderr = os.Stderr
	stdout, err = cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	return cmd, stdout
}

const (
	contests   = 150
	increments = 150
	listed     = 300
)

// contend is the work of each of several concurrent processes. It returns the number of contests
// that this process has won.
func contend(ctx context.Context, d *Driver, name string) (wins int, err error) {
	relaxed := driver.PutOptions{Durability: driver.Relaxed}
	absent := driver.PutOptions{Durability: driver.Relaxed, IfAbsent: true}
	var mine []string
	for i := range contests {
		// Exactly one of the processes creates the object.
		_, err := d.Put(ctx, fmt.Sprintf("once/%d/x/%d", i%3, i), strings.NewReader(name), &absent)
		if err == nil {
			wins++
		} else if !errors.Is(err, driver.ErrExist) {
			return wins, err
		}
		// Create and delete directories.
		gone := fmt.Sprintf("gone/x/%d/%s", i%3, name)
		if _, err := d.Put(ctx, gone, nil, &absent); err != nil {
			return wins, err
		}
		if err := d.Delete(ctx, gone, ""); err != nil {
			return wins, err
		}
		// The next list contains the changes of this process and the earlier content.
		key := fmt.Sprintf("list/%04d-%s", (i*37)%listed, name)
		mine = append(mine, key)
		if _, err := d.Put(ctx, key, nil, &relaxed); err != nil {
			return wins, err
		}
		if i%3 == 2 {
			if err := d.Delete(ctx, mine[0], ""); err != nil {
				return wins, err
			}
			mine = mine[1:]
		}
		if err := checkList(ctx, d, name, mine); err != nil {
			return wins, err
		}
	}
	return wins, count(ctx, d)
}

func checkList(ctx context.Context, d *Driver, name string, mine []string) error {
	var got []string
	base := 0
	for info, err := range d.List(ctx, "list/", &driver.ListOptions{KeysOnly: true}) {
		switch {
		case err != nil:
			return err
		case strings.HasSuffix(info.Key, "-"+name):
			got = append(got, info.Key)
		case strings.HasSuffix(info.Key, "-base"):
			base++
		}
	}
	want := slices.Sorted(slices.Values(mine))
	if base != listed || !slices.Equal(want, got) {
		return fmt.Errorf("%s lists %d of %d that were there before, and %q instead of %q", name, base, listed, got, want)
	}
	return nil
}

// count increments a counter by compare-and-swap.
func count(ctx context.Context, d *Driver) error {
	for n := 0; n < increments; {
		r, info, err := d.Open(ctx, "counter", nil)
		if err != nil {
			return err
		}
		content, err := io.ReadAll(r)
		_ = r.Close()
		if err != nil {
			return err
		}
		value, err := strconv.Atoi(string(content))
		if err != nil {
			return err
		}
		opts := &driver.PutOptions{IfVersion: info.Version, Durability: driver.Relaxed}
		switch _, err := d.Put(ctx, "counter", strings.NewReader(strconv.Itoa(value+1)), opts); {
		case err == nil:
			n++
		case !errors.Is(err, driver.ErrChanged):
			return err
		}
	}
	return nil
}

// TestProcessesShareADirectory: conditions hold between processes. Each process immediately sees
// its own changes and those of the others, although all of them cache lists.
func TestProcessesShareADirectory(t *testing.T) {
	dir := t.TempDir()
	d := newDriver(t, dir, nil)
	put(t, d, "counter", "0", nil)
	for i := range listed {
		put(t, d, fmt.Sprintf("list/%04d-base", i), "", &driver.PutOptions{Durability: driver.Relaxed})
	}
	one, out1 := startChild(t, "race", dir, "one")
	two, out2 := startChild(t, "race", dir, "two")
	wins := map[string]int{}
	var err error
	wins["parent"], err = contend(t.Context(), d, "parent")
	require.NoError(t, err)
	for name, out := range map[string]io.Reader{"one": out1, "two": out2} {
		text, err := io.ReadAll(out)
		require.NoError(t, err)
		wins[name], err = strconv.Atoi(strings.TrimSpace(string(text)))
		require.NoError(t, err)
	}
	require.NoError(t, one.Wait())
	require.NoError(t, two.Wait())

	won := map[string]int{}
	for _, key := range keys(t, d, "once/", nil) {
		content, err := os.ReadFile(d.objects + key)
		require.NoError(t, err)
		won[string(content)]++
	}
	for name, n := range wins {
		require.Equal(t, n, won[name], "%s", name)
	}
	require.Equal(t, contests, won["parent"]+won["one"]+won["two"])
	content, err := os.ReadFile(d.objects + "counter")
	require.NoError(t, err)
	require.Equal(t, strconv.Itoa(3*increments), string(content))
	require.Empty(t, keys(t, d, "gone/", nil))
}

// statement returns the content of object number i. The content identifies i and shows whether it
// is complete.
func statement(i int) string {
	return fmt.Sprintf("%d\n%s%d\n", i, strings.Repeat(string(rune('a'+i%26)), i*7919%300_000), i)
}

// parse returns the number of a complete statement.
func parse(content []byte) (int, error) {
	head, _, _ := bytes.Cut(content, []byte("\n"))
	i, err := strconv.Atoi(string(head))
	if err != nil || string(content) != statement(i) {
		return 0, fmt.Errorf("%d bytes that are no whole object: %q", len(content), content[:min(20, len(content))])
	}
	return i, nil
}

// writeForEver writes and deletes objects and prints each completed operation.
func writeForEver(d *Driver, i int) error {
	ctx := context.Background()
	for ; ; i++ {
		key := fmt.Sprintf("k/%d/%d/x", i%2, i%30)
		opts := &driver.PutOptions{Durability: driver.Durability(i % 3)}
		if _, err := d.Put(ctx, key, strings.NewReader(statement(i)), opts); err != nil {
			return err
		}
		fmt.Println("put", key, i)
		if i%7 == 0 {
			if err := d.Delete(ctx, key, ""); err != nil {
				return err
			}
			fmt.Println("delete", key, i)
		}
	}
}

// TestKillLeavesWholeObjects: after kill -9, all acknowledged objects exist, and every existing
// object is complete.
func TestKillLeavesWholeObjects(t *testing.T) {
	rounds := 20
	if testing.Short() {
		rounds = 3
	}
	dir := t.TempDir()
	acknowledged := map[string]int{} // by key; a negative number means deleted
	next := 1
	for range rounds {
		cmd, out := startChild(t, "write", dir, strconv.Itoa(next))
		lines := bufio.NewScanner(out)
		timer := time.AfterFunc(time.Duration(20+rand.IntN(150))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		for lines.Scan() {
			var op, key string
			var i int
			_, err := fmt.Sscan(lines.Text(), &op, &key, &i)
			require.NoError(t, err)
			next = i + 10
			if op == "delete" {
				i = -i
			}
			acknowledged[key] = i
		}
		timer.Stop()
		require.Error(t, cmd.Wait(), "killed")

		d := newDriver(t, dir, nil)
		there := map[string]int{}
		for _, key := range keys(t, d, "", nil) {
			content, err := os.ReadFile(d.objects + key)
			require.NoError(t, err)
			there[key], err = parse(content)
			require.NoError(t, err, key)
		}
		for key, i := range acknowledged {
			if i > 0 && there[key] == 0 {
				// The killed writer may have deleted the key without printing it. It deletes only
				// numbers that are multiples of 7, and puts each of them first.
				require.Zero(t, i%7, "%s number %d is lost", key, i)
				delete(acknowledged, key)
				continue
			}
			require.True(t, there[key] >= i, "%s: number %d was acknowledged, number %d is there", key, i, there[key])
			require.True(t, i > 0 || there[key] == 0 || there[key] > -i, "%s: number %d was deleted", key, -i)
		}
		temps, err := os.ReadDir(dir + "/tmp")
		require.NoError(t, err)
		live := 0
		for _, e := range temps {
			if strings.HasPrefix(d.temp, dir+"/tmp/"+e.Name()+"/") {
				live++
			}
		}
		require.Equal(t, 1, live)
		// The next process is alone, and replays the journal of the killed one or finds it empty.
		if next%2 == 0 {
			kill(d)
		} else {
			require.NoError(t, d.Close())
		}
	}
	require.NotEmpty(t, acknowledged)
}
