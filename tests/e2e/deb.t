#!/usr/bin/env perl
# make deb: a package without lintian errors, the same bytes twice, installable in a minimal Debian and usable there by an ordinary user.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Moon;
use Test::More;
for my $tool (qw(dpkg-deb dpkg-shlibdeps)) {
    plan skip_all => "$tool is not installed" if system("command -v $tool >/dev/null 2>&1") != 0;
}

# With the settings of the make that runs this, if one does; but not with its job server.
(my $flags = $ENV{MAKEFLAGS} // '') =~ s/(^| )-?-?j(observer)?\S*//g;
sub make { run({ seconds => 300, env => { MAKEFLAGS => $flags } }, 'make', '-s', '-C', $root, @_) }
my $r = make('deb');
is($r->{status}, 0, 'make deb') or diag($r->{err});
my ($deb) = glob "$root/build/moongate_*.deb" or BAIL_OUT('no package');
my $once = read_file($deb);
make('deb');
ok($once eq read_file($deb), 'the same commit gives the same bytes');

my $names = run('dpkg-deb', '-c', $deb)->{out};
like($names, qr{ \./$_\n}, "the package has $_")
  for qw(usr/bin/moongate usr/share/man/man1/moongate\.1\.gz usr/share/bash-completion/completions/moongate
  usr/share/zsh/site-functions/_moongate usr/share/fish/vendor_completions\.d/moongate\.fish usr/share/doc/moongate/runs\.md
  usr/share/moongate/meta/http\.lua usr/share/moongate/examples/index\.json lib/systemd/system/moongate-work@\.service);
unlike(run('dpkg-deb', '--ctrl-tarfile', $deb)->{out}, qr/postinst/, 'no service is enabled or started by the installation');

SKIP: {
    skip 'lintian is not installed', 1 if system('command -v lintian >/dev/null 2>&1') != 0;
    my $lint = run({ seconds => 120 }, 'lintian', '--allow-root', '--fail-on', 'error', $deb);
    is($lint->{status}, 0, 'lintian finds no error') or diag($lint->{out});
}
SKIP: {
    skip 'systemd-analyze is not installed', 1 if system('command -v systemd-analyze >/dev/null 2>&1') != 0;
    my $units = run('systemd-analyze', 'verify', '--man=no', glob "$root/packaging/debian/systemd/*");
    unlike($units->{err}, qr/moongate\S*:\d+:/, 'systemd reads the units') or diag($units->{err});
}

SKIP: {
    skip 'a minimal system needs root and debootstrap', 3 if $> != 0 || system('command -v debootstrap >/dev/null 2>&1') != 0;
    my $depends = join ',', run('dpkg-deb', '-f', $deb, 'Depends')->{out} =~ /([a-z0-9.+-]+)(?: \([^)]*\))?(?:,|$)/g;
    my $chroot = "$dir/chroot";
    my $made = run({ seconds => 240 }, 'debootstrap', '--variant=minbase', "--include=$depends", 'bookworm', $chroot);
    skip 'debootstrap can not make a system here: ' . ($made->{out} =~ /(E: .*)/ ? $1 : 'see its log'), 3 if $made->{status};
    system('cp', $deb, "$chroot/moongate.deb");
    my $install = run('chroot', $chroot, 'dpkg', '-i', '/moongate.deb');
    is($install->{status}, 0, 'it installs in a minimal Debian') or diag("$install->{out}$install->{err}");
    my $user = sub { run('chroot', '--userspec=nobody:nogroup', $chroot, 'env', 'HOME=/tmp', 'XDG_STATE_HOME=/tmp/state', '/usr/bin/moongate', @_) };
    my $deploy = $user->('--sim', 'deploy-index', '/usr/share/moongate/examples/index.json');
    is($deploy->{status}, 0, 'an ordinary user deploys an index') or diag("$deploy->{out}$deploy->{err}");
    like($deploy->{out}, qr/^support-articles: created/m, 'which is created');
}
done_testing;
