# Homebrew formula of the programs of this release; scripts/package writes version, address and digests.
class Tailwatch < Formula
  desc "Installs and verifies an observability stack on Kubernetes in a tailnet"
  homepage "@HOMEPAGE@"
  version "@VERSION@"
  license "Apache-2.0"

  depends_on "helm"

  on_macos do
    on_arm do
      url "@URL@/tailwatch-@VERSION@-aarch64-apple-darwin.tar.gz"
      sha256 "@SHA256 aarch64-apple-darwin@"
    end
    on_intel do
      url "@URL@/tailwatch-@VERSION@-x86_64-apple-darwin.tar.gz"
      sha256 "@SHA256 x86_64-apple-darwin@"
    end
  end

  on_linux do
    on_arm do
      url "@URL@/tailwatch-@VERSION@-aarch64-unknown-linux-musl.tar.gz"
      sha256 "@SHA256 aarch64-unknown-linux-musl@"
    end
    on_intel do
      url "@URL@/tailwatch-@VERSION@-x86_64-unknown-linux-musl.tar.gz"
      sha256 "@SHA256 x86_64-unknown-linux-musl@"
    end
  end

  def install
    bin.install "bin/tailwatch"
    man1.install "share/man/man1/tailwatch.1"
    bash_completion.install "share/bash-completion/completions/tailwatch"
    zsh_completion.install "share/zsh/site-functions/_tailwatch"
    fish_completion.install "share/fish/vendor_completions.d/tailwatch.fish"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/tailwatch --version")
  end
end
