# Sourced after say.sh and toolchains.sh, with $root set: builds the sandbox's parts into the user's cache, once,
# keyed by what they are built from. Several runs may build at the same time: each builds into its own folder, and
# the first to finish wins.

parts_cache=${TAILWATCH_SANDBOX_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tailwatch-sandbox}
# Without debugging information the compiler needs a sixth less processor time. Everything that shares compiled packages
# has the same flags.
parts_flags="-trimpath -gcflags=all=-dwarf=false"
kubernetes_version=v1.36.1
old_kubernetes_version=v1.25.4
helm4_version=v4.2.0
helm3_version=v3.19.4
loki_version=3.5.7
newer_loki_version=3.7.8

# kubernetes_flags VERSION: without these the API server reports v0.0.0 and helm has no patch version.
kubernetes_flags() {
  local package minor=${1#v1.}
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    printf ' -X %s' "$package.gitVersion=$1" "$package.gitMajor=1" "$package.gitMinor=${minor%%.*}"
  done
}

# part_recipe PART: lines of `binary package`, then `ldflags …`, `tags …`
part_recipe() {
  case "$1" in
    # One module: shared packages are compiled once. helm 3 is separate, with the libraries of its release.
    programs)
      echo "kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver"
      echo "kube-controller-manager k8s.io/kubernetes/cmd/kube-controller-manager"
      echo "kube-scheduler k8s.io/kubernetes/cmd/kube-scheduler"
      echo "kubectl k8s.io/kubernetes/cmd/kubectl"
      echo "etcd go.etcd.io/etcd/server/v3"
      echo "kwok sigs.k8s.io/kwok/cmd/kwok"
      echo "helm4 helm.sh/helm/v4/cmd/helm"
      echo "prometheus github.com/prometheus/prometheus/cmd/prometheus"
      echo "promtool github.com/prometheus/prometheus/cmd/promtool"
      echo "oauth2-proxy github.com/oauth2-proxy/oauth2-proxy/v7"
      echo "operator github.com/prometheus-operator/prometheus-operator/cmd/operator"
      echo "tags remove_all_sd,enable_kubernetes_sd"
      echo "ldflags $(kubernetes_flags "$kubernetes_version") -X helm.sh/helm/v4/internal/version.version=$helm4_version"
      ;;
    helm3)
      echo "helm3 helm.sh/helm/v3/cmd/helm"
      # helm 3 renders for the Kubernetes that its client library names here.
      echo "ldflags -X helm.sh/helm/v3/internal/version.version=$helm3_version -X helm.sh/helm/v3/pkg/lint/rules.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor=34 -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=34"
      ;;
    # Loki is licensed under the AGPL: it runs as a program of its own, and nothing links or ships it.
    loki)
      echo "loki github.com/grafana/loki/v3/cmd/loki"
      echo "ldflags -X github.com/grafana/loki/v3/pkg/util/build.Version=$loki_version"
      ;;
    # The newest that the module proxy serves, for the tests of upgrades.
    loki-3.7)
      echo "loki github.com/grafana/loki/v3/cmd/loki"
      echo "ldflags -X github.com/grafana/loki/v3/pkg/util/build.Version=$newer_loki_version"
      ;;
    # Alertmanager is that of the pinned chart: the modules of newer ones lack the web pages. kube-state-metrics is the
    # nearest that the module proxy serves to the chart's.
    monitoring)
      echo "alertmanager github.com/prometheus/alertmanager/cmd/alertmanager"
      echo "node_exporter github.com/prometheus/node_exporter"
      echo "kube-state-metrics k8s.io/kube-state-metrics/v2"
      ;;
    # The oldest Kubernetes that Tailwatch supports, for the world of this name.
    old-api)
      echo "kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver"
      echo "kube-controller-manager k8s.io/kubernetes/cmd/kube-controller-manager"
      echo "kube-scheduler k8s.io/kubernetes/cmd/kube-scheduler"
      # Without the SDKs of the clouds.
      echo "tags providerless"
      echo "ldflags $(kubernetes_flags "$old_kubernetes_version")"
      ;;
    # Only for scripts/bench.
    helmfile) echo "helmfile github.com/helmfile/helmfile" ;;
    world) echo "world ." ;;
    bench) echo "bench ./bench" ;;
  esac
}

# part_setting PART NAME: the ldflags or tags of its recipe.
part_setting() { part_recipe "$1" | sed -n "s/^$2 //p"; }

packages() { printf '%s\n' "$1" | sed '/^ldflags /d; /^tags /d; s/^[^ ]* //'; }

# fetch_modules PART…: downloads the modules of missing parts, while another part is being built.
fetch_modules() {
  local part recipe
  for part in "$@"; do
    recipe=$(part_recipe "$part")
    [ -d "$(part_folder "$part")" ] || (cd "$(part_source "$part")" && packages "$recipe" |
      CGO_ENABLED=0 xargs go list -deps -tags "$(part_setting "$part" tags)") >/dev/null 2>&1 || true
  done
}

part_source() {
  case "$1" in
    world | bench) echo "$root/tests/sandbox/world" ;;
    *) echo "$root/tests/sandbox/parts/$1" ;;
  esac
}

part_key() {
  local source
  source=$(part_source "$1")
  {
    go env GOOS GOARCH GOVERSION
    part_recipe "$1"
    if [ "$1" = world ] || [ "$1" = bench ]; then
      (cd "$source" && find . -type f ! -name '*_test.go' | LC_ALL=C sort | while read -r file; do echo "$file"; cat "$file"; done)
    else
      cat "$source/go.mod" "$source/go.sum"
    fi
  } | digest | cut -c1-16
}

part_folder() { echo "$parts_cache/$1-$(cd "$(part_source "$1")" && part_key "$1")"; }

# ensure_part PART: prints the folder of its binaries. To be called in a subshell, which deletes an unfinished build.
ensure_part() {
  local part=$1 folder building source started recipe ldflags tags
  folder=$(part_folder "$part")
  if [ ! -d "$folder" ]; then
    source=$(part_source "$part")
    recipe=$(part_recipe "$part")
    ldflags="-s -w $(part_setting "$part" ldflags)"
    tags=$(part_setting "$part" tags)
    mkdir -p "$parts_cache"
    building=$(mktemp -d "$parts_cache/.building-$part-XXXXXX")
    trap "rm -rf $(printf %q "$building")" EXIT
    say "building the sandbox's part '$part' (once; later runs use the cache)"
    started=$(date +%s)
    # In one call: one core compiles while the other links. This GOGC saves the compiler a sixth of the processor time.
    (cd "$source" && packages "$recipe" |
      CGO_ENABLED=0 GOGC=400 xargs go build $parts_flags -tags "$tags" -ldflags "$ldflags" -o "$building/") >&2 ||
      fail "the sandbox's part '$part' could not be built" "read go's message above; an unreachable module proxy is the usual cause, and a rerun continues the build"
    printf '%s\n' "$recipe" | while read -r binary package; do
      case "$binary" in ldflags | tags) continue ;; esac
      # The Go toolchain names a program after its package path, without the major version.
      package=$(printf '%s' "$package" | sed 's|/v[0-9][0-9]*$||; s|.*/||')
      case "$package" in . | "$binary") ;; *) mv "$building/$package" "$building/$binary" ;; esac
    done
    [ -d "$folder" ] || mv "$building" "$folder"
    say "built '$part' in $(($(date +%s) - started)) s"
  fi
  echo "$folder"
}
