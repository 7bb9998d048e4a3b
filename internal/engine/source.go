package engine

import (
	"context"
	"fmt"

	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/pipeline"
	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/source"
)

// hubSource gives the pipeline its view of the hub.
type hubSource struct{ hub *source.Hub }

// Head implements pipeline.Source.
func (s hubSource) Head(app object.App) pipeline.Head {
	st, ok := s.hub.State(app.String())
	if !ok {
		return pipeline.Head{}
	}
	h := pipeline.Head{Commit: st.Revision.Hash, Ref: st.Revision.RefName, Err: st.Err}
	if h.Commit == "" {
		return h
	}
	h.Date, h.Subject = st.Commit.AuthorDate, st.Commit.Subject
	h.Author = fmt.Sprintf("%s <%s>", st.Commit.AuthorName, st.Commit.AuthorEmail)
	return h
}

// Tree implements pipeline.Source.
func (s hubSource) Tree(ctx context.Context, app object.App, commit string) (snapshot.Tree, error) {
	snap, err := s.hub.Snapshot(ctx, app.String())
	if err != nil {
		return nil, err
	}
	if snap.Revision.Hash != commit {
		return nil, &pipeline.MovedError{From: commit, To: snap.Revision.Hash}
	}
	return snap.Tree, nil
}
