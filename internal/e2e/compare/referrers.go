package main

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"
	imagespec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/registrykit/registry/internal/e2e/harness"
)

const referrersRepo = "compare/referrers"

// subject is the manifest to which the referrers refer.
func subject() []byte { return harness.Manifest("subject", config0) }

// config0 is the config of manifests whose content does not matter.
var config0 = []byte("{}")

func referrer(n int) []byte {
	return harness.Referrer(fmt.Sprintf("referrer %d", n), subject(), config0)
}

func pushSubject(ctx context.Context, s *side) error {
	if _, err := s.c.PushBlob(ctx, referrersRepo, config0); err != nil {
		return err
	}
	return s.c.PutManifest(ctx, referrersRepo, "subject", imagespec.MediaTypeImageManifest, subject())
}

func pushReferrer(ctx context.Context, s *side, m []byte) error {
	return s.c.PutManifest(ctx, referrersRepo, digest.FromBytes(m).String(), imagespec.MediaTypeImageManifest, m)
}

// referrers lists all referrers of a subject that has count of them.
func referrers(count int) scenario {
	want := map[digest.Digest]bool{}
	for n := range count {
		want[digest.FromBytes(referrer(n))] = true
	}
	list := func(ctx context.Context, s *side) error {
		got, err := s.c.Referrers(ctx, referrersRepo, digest.FromBytes(subject()))
		if err != nil {
			return err
		}
		found := map[digest.Digest]bool{}
		for _, d := range got {
			if !want[d] {
				return fmt.Errorf("referrers: %s does not belong there", d)
			}
			found[d] = true
		}
		if len(found) != count || len(got) != count {
			return fmt.Errorf("referrers: %d, of which %d differ, instead of %d", len(got), len(found), count)
		}
		return nil
	}
	setup := func(ctx context.Context, s *side) error {
		if err := pushSubject(ctx, s); err != nil {
			return err
		}
		for n := range count {
			if err := pushReferrer(ctx, s, referrer(n)); err != nil {
				return err
			}
		}
		return list(ctx, s) // a side without referrers takes no part
	}
	return scenario{setup: setup, rows: []row{{
		name: fmt.Sprintf("list of %d referrers", count), ops: 500, learn: list,
		op:    func(ctx context.Context, s *side, _, _ int) error { return list(ctx, s) },
		goals: []goal{cpuTmpfs(map[int]float64{20: 60, 200: 400}[count])},
	}}}
}

// referrerPushes pushes referrers of one subject.
func referrerPushes() scenario {
	setup := func(ctx context.Context, s *side) error {
		if err := pushSubject(ctx, s); err != nil {
			return err
		}
		if err := pushReferrer(ctx, s, referrer(0)); err != nil {
			return err
		}
		got, err := s.c.Referrers(ctx, referrersRepo, digest.FromBytes(subject()))
		if err == nil && len(got) != 1 {
			err = fmt.Errorf("%d referrers instead of 1", len(got))
		}
		return err
	}
	return scenario{setup: setup, rows: []row{{name: "push of a referrer", ops: 400, workers: 8,
		op: func(ctx context.Context, s *side, round, n int) error {
			return pushReferrer(ctx, s, referrer((round+2)*10_000+n))
		}, goals: []goal{rateDisk(1500)}}}}
}
