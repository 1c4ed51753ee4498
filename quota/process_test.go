package quota_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/quota"
	"github.com/registrykit/registry/storage/disk"
)

// processFolder is the variable with the storage of the process that TestTwoProcesses starts.
const processFolder = "QUOTA_TEST_FOLDER"

var processLimit = quota.Limit{Prefix: "team", Max: quota.Amounts{Bytes: 30 * 1000}}

// TestProcess pushes until it is killed, and prints a line for each push that was acknowledged. It runs
// in the process that TestTwoProcesses starts.
func TestProcess(t *testing.T) {
	folder := os.Getenv(processFolder)
	if folder == "" {
		return // it is not the process of TestTwoProcesses
	}
	d, err := disk.New(folder, nil)
	require.NoError(t, err)
	q := newQuotas(t, d, nil, processLimit)
	for i := 1_000_000; i < 1_000_100; i++ {
		if _, err := pushBlob(t.Context(), q, "team/a", random(i, 1000)); err == nil {
			fmt.Println("pushed", i)
		}
	}
}

// TestTwoProcesses: two processes push to one storage, and one of them is killed. They never exceed the
// limit together, and one count makes the figure exact.
func TestTwoProcesses(t *testing.T) {
	folder := t.TempDir()
	d, err := disk.New(folder, nil)
	require.NoError(t, err)
	q := newQuotas(t, d, nil, processLimit)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProcess$", "-test.v")
	cmd.Env = append(os.Environ(), processFolder+"="+folder)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	own, others := 0, 0
	other := func() bool { // reports whether the other process has pushed something
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "pushed ") {
				others++
				return true
			}
		}
		return false
	}
	for others < 8 && other() {
		if _, err := pushBlob(t.Context(), q, "team/b", random(others, 1000)); err == nil {
			own++
		}
	}
	require.NoError(t, cmd.Process.Kill())
	for other() { // what it had pushed before
	}
	_ = cmd.Wait()
	for i := range 40 {
		if _, err := pushBlob(t.Context(), q, "team/b", random(1000+i, 1000)); err == nil {
			own++
		} else {
			requireExceeded(t, err)
		}
	}
	s := newStore(t, d)
	has := truth(t, s, "team")
	require.LessOrEqual(t, has.Bytes, int64(30*1000))
	require.GreaterOrEqual(t, has.Bytes, int64(29*1000), "what the killed process held is one push")
	require.GreaterOrEqual(t, own+others, 28, "the killed process has not reported its last push")
	quota.ExpireAtOnce(q)
	require.NoError(t, q.Recount(t.Context(), "team"))
	require.Equal(t, has.Bytes, used(t, q, "team").Bytes)
}
