# Recipes for people. `.ci/run` is where each check is written down, for CI and for these.

# Everything that CI checks on Linux, line for line
check *steps:
    .ci/run {{steps}}

# Rewrite the sources as rustfmt likes them
fmt:
    cargo fmt --all

# The checks that need no second build
quick:
    .ci/run fmt clippy docs

# The house rules alone
tidy:
    cargo test -p retcon --test tidy

# Licenses, duplicates, sources, advisories
deny:
    cargo deny check

# Spelling
typos:
    typos

# The oldest toolchain that is promised to work
msrv:
    cargo +1.89 check --workspace --all-targets --locked
