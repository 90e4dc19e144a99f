#!/usr/bin/env perl
# Proxies: each way in which one refuses is named, with its status; which proxy is used for which host, NO_PROXY's forms included; settings that are
# misspelt stop every call. The proxies are a Perl program that refuses in one way per port, and tinyproxy.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Select;
use IO::Socket::INET;
use Moon;
use Test::More;
use Time::HiRes qw(time);

$ENV{PATH} .= ':/usr/sbin';

# ---- proxies ----

# Each mode has a port; what comes in goes to the file of that name, a line each.
write_file('proxies.pl', <<'PL');
use strict; use warnings; use IO::Select; use IO::Socket::INET;
$| = 1;
my (%mode, %wait);
my $sel = IO::Select->new;
for my $m (@ARGV) {
    my $s = IO::Socket::INET->new(Listen => 50, LocalAddr => '127.0.0.1') or die $!;
    $mode{$s} = $m; $sel->add($s); print "$m=" . $s->sockport . "\n";
}
print "ready .\n";
sub note { my ($m, $t) = @_; open my $f, '>>', "seen-$m" or die $!; print $f "$t\n"; close $f }
while (1) {
    for my $fh ($sel->can_read) {
        if ($mode{$fh}) { my $c = $fh->accept or next; $wait{$c} = [ $mode{$fh}, '' ]; $sel->add($c); next }
        my $w = $wait{$fh};
        my $n = sysread $fh, $w->[1], 4096, length $w->[1];
        my ($m, $text) = @$w;
        my $close = sub { $sel->remove($fh); delete $wait{$fh}; close $fh };
        if (!$n) { $close->(); next }
        if ($m =~ /^socks-(\w+)/) {
            if (!$w->[2]) { $w->[2] = 1; $w->[1] = ''; note($m, 'hello'); syswrite $fh, $1 eq 'auth' ? "\5\xff" : "\5\0"; $close->() if $1 eq 'auth'; next }
            syswrite $fh, "\5\2\0\1\0\0\0\0\0\0"; $close->(); next;
        }
        if ($text =~ /^\x16/) { syswrite $fh, "HTTP/1.1 400 Bad Request\r\n\r\n"; $close->(); next }    # TLS
        next unless $text =~ /\r\n\r\n/;
        note($m, $text =~ s/\r\n.*//sr);
        next if $m eq 'hang';
        if ($m eq 'cut') { syswrite $fh, "HTTP/1.1 200 Conn" }
        elsif ($m =~ /^\d+$/) {
            my $auth = $m == 407 ? qq(Proxy-Authenticate: Basic realm="corp"\r\n) : $m == 403 ? "X-Squid-Error: ERR_ACCESS_DENIED 0\r\n" : '';
            syswrite $fh, "HTTP/1.1 $m No\r\n${auth}Content-Length: 2\r\n\r\nno";
        }
        $close->();
    }
}
PL
my @modes = qw(407 403 502 503 404 cut closed hang socks-auth socks-denied);
my $p = start(qr/^ready/m, $^X, 'proxies.pl', @modes) or BAIL_OUT('the proxies did not start');
my %port = read_file($p->{log}) =~ /^(\S+)=(\d+)$/mg;
sub seen { my ($m) = @_; my @l = -e "seen-$m" ? slurp_lines("seen-$m") : (); unlink "seen-$m"; @l }

write_file('ask.lua', <<'LUA');
local url, deadline = ...
local r, e = require "moongate.http".request { method = "GET", url = url, deadline = tonumber(deadline) or 20 }
print(r and r.status or ("%s|%s|%s"):format(e.code, e.message, e.hint or ""))
LUA
sub ask {
    my ($env, $url, @more) = @_;
    my $r = moon({ env => $env }, '--allow-all', 'run', 'ask.lua', $url, @more);
    chomp(my $out = $r->{out});
    diag($r->{err}) if $r->{err};
    return $out;
}
my $via = sub { my ($m, $scheme) = @_; "http://" . ($scheme // '') . "127.0.0.1:$port{$m}" };

# ---- a refusal is named ----

for my $case ([ 407, qr/status 407 \(proxy authentication required\)\|.*user and password: http:/ ], [ 403, qr/status 403 \(forbidden\)\|.*NO_PROXY/ ],
    [ 404, qr/status 404\|/ ]) {
    my ($m, $words) = @$case;
    like(ask({ HTTPS_PROXY => $via->($m) }, 'https://gw.invalid/'), qr/^connect\|.*the proxy http:\/\/127\.0\.0\.1:$port{$m} \(from HTTPS_PROXY\) refused the connection to gw\.invalid: $words/s,
        "CONNECT: $m");
    is(scalar(() = seen($m)), 1, 'and it is tried once');
}
for my $m (502, 503) {
    like(ask({ https_proxy => $via->($m) }, 'https://gw.invalid/', 2), qr/the proxy \S+ \(from https_proxy\) refused the connection to gw\.invalid: status $m /, "CONNECT: $m");
    cmp_ok(scalar(() = seen($m)), '>', 1, 'which may pass: it is tried again');
}
for my $m (qw(cut closed)) {
    like(ask({ ALL_PROXY => $via->($m) }, 'https://gw.invalid/', 2), qr/the proxy \S+ \(from ALL_PROXY\) closed the connection before/, "CONNECT: $m");
}
like(ask({ HTTPS_PROXY => $via->('hang') }, 'https://gw.invalid/', 1), qr/the proxy \S+ \(from HTTPS_PROXY\) opened no connection in time/, 'CONNECT: hanging');
like(ask({ HTTPS_PROXY => 'http://127.0.0.1:1' }, 'https://gw.invalid/', 1), qr/could not connect to the proxy http:\/\/127\.0\.0\.1:1 \(from HTTPS_PROXY\)/, 'nobody there');
like(ask({ HTTPS_PROXY => 'http://proxy.invalid:3128' }, 'https://gw.invalid/', 1), qr/the name of the proxy http:\/\/proxy\.invalid:3128 \(from HTTPS_PROXY\) does not resolve/, 'a name that is none');
like(ask({ HTTPS_PROXY => "socks5h://127.0.0.1:$port{'socks-auth'}" }, 'https://gw.invalid/', 5), qr/the proxy socks5h:\/\/\S+ \(from HTTPS_PROXY\) made no connection.*user and password/s, 'SOCKS: a password is wanted');
is(scalar(() = seen('socks-auth')), 1, 'and it is tried once');
like(ask({ HTTPS_PROXY => "socks5h://127.0.0.1:$port{'socks-denied'}" }, 'https://gw.invalid/', 5), qr/the proxy socks5h:\/\/\S+ \(from HTTPS_PROXY\) made no connection to gw\.invalid/, 'SOCKS: not allowed');
like(ask({ HTTPS_PROXY => "https://127.0.0.1:$port{403}" }, 'https://gw.invalid/', 5), qr/^tls\|.*the proxy https:\/\/\S+ does not speak TLS.*Use http:\/\/ in HTTPS_PROXY/s, 'a proxy that has no TLS');

# Plain http: the answer is the proxy's own.
like(ask({ http_proxy => $via->(407) }, 'http://gw.invalid/'), qr/^http\|.*the answer is from the proxy.*user and password/s, 'http: 407');
is(scalar(() = seen(407)), 1, 'and it is tried once');
my $said = ask({ http_proxy => $via->(403) }, 'http://gw.invalid/');
like($said, qr/^http\|.*the answer is from the proxy/, 'http: 403');
unlike($said, qr/scope/, 'which says nothing of scopes');
like(ask({ http_proxy => $via->(503) }, 'http://gw.invalid/', 1), qr/may be the proxy's own, or the server's/, "http: one that could be anybody's");
like(ask({ http_proxy => $via->('closed') }, 'http://gw.invalid/', 2), qr/the proxy \S+ \(from http_proxy\) closed the connection before an answer came/, 'http: closed');

# A webhook's attempts are its own, and end there, too.
$said = moon({ env => { HTTPS_PROXY => $via->(407) } }, 'webhook', 'send', 'https://hooks.invalid/x', '--event', 'e', '--data', '{}');
like($said->{err}, qr/refused the connection to hooks\.invalid: status 407/, 'a webhook behind a proxy that wants a password');
is(scalar(() = seen(407)), 1, 'is tried once');

# ---- secrets ----

$said = moon({ env => { HTTPS_PROXY => "http://alice:open-sesame-9\@127.0.0.1:$port{407}", GENESYSCLOUD_REGION => 'https://gw.invalid',
            GENESYSCLOUD_OAUTHCLIENT_ID => 'proxy-client-1', GENESYSCLOUD_OAUTHCLIENT_SECRET => 'proxy-secret-22' } }, '-vv', 'doctor');
unlike($said->{out} . $said->{err}, qr/open-sesame/, "a proxy's password is not shown");
like($said->{out}, qr/^ok    proxy          gw\.invalid through http:\/\/127\.0\.0\.1:\d+ \(from HTTPS_PROXY\)/m, 'doctor says which proxy, and why');
like($said->{out}, qr/^FAIL  API host [^\n]*status 407[^\n]*\n +hint: Correct the user and password in HTTPS_PROXY/m, 'and that it refuses');
seen(407);

# ---- which hosts ----

sub goes { my ($env, $url) = @_; ask({ %$env }, $url, 0.7); scalar(() = seen(404)) ? 'proxy' : 'direct' }
my %all = (http_proxy => $via->(404), https_proxy => $via->(404));
for my $case ([ 'in.invalid', 'a.in.invalid', 'direct' ], [ 'in.invalid', 'in.invalid', 'direct' ], [ 'in.invalid', 'xin.invalid', 'proxy' ],
    [ '.in.invalid', 'in.invalid', 'direct' ], [ '*.in.invalid', 'a.in.invalid', 'proxy' ], [ 'in.invalid:443', 'in.invalid', 'proxy' ], [ '*', 'a.invalid', 'direct' ],
    [ 'x.invalid,*', 'a.invalid', 'proxy' ], [ 'x.invalid a.invalid', 'a.invalid', 'direct' ], [ 'x.invalid, A.INVALID', 'a.invalid', 'direct' ],
    [ '192.0.2.0/24', '192.0.2.9', 'direct' ], [ '192.0.2.0/24', '192.0.3.9', 'proxy' ], [ '192.0.2', '192.0.2.9', 'proxy' ], [ '2001:db8::/32', '[2001:db8::9]', 'direct' ]) {
    my ($list, $host, $way) = @$case;
    is(goes({ %all, NO_PROXY => $list }, "https://$host/"), $way, "NO_PROXY '$list': $host $way");
}
is(goes({ HTTP_PROXY => $via->(404) }, 'http://a.invalid/'), 'direct', 'HTTP_PROXY in capitals is ignored');
is(goes({ http_proxy => $via->(404) }, 'https://a.invalid/'), 'direct', 'http_proxy is for http alone');
is(goes({ all_proxy => $via->(404) }, 'http://a.invalid/'), 'proxy', 'all_proxy is for both');
is(goes({ %all }, 'https://localhost:1/'), 'direct', 'loopback is always direct');
is(goes({ GENESYSCLOUD_PROXY_HOST => '127.0.0.1', GENESYSCLOUD_PROXY_PORT => $port{404}, https_proxy => 'http://127.0.0.1:1' }, 'https://a.invalid/'), 'proxy', 'GENESYSCLOUD_PROXY_* counts first');

# ---- misspelt ----

for my $env ({ HTTPS_PROXY => 'htp://127.0.0.1:1' }, { all_proxy => 'http://127.0.0.1:99999' }, { http_proxy => 'http://127.0.0.1:1/x' },
    { GENESYSCLOUD_PROXY_HOST => '127.0.0.1', GENESYSCLOUD_PROXY_PROTOCOL => 'htp' }, { GENESYSCLOUD_PROXY_HOST => '127.0.0.1', GENESYSCLOUD_PROXY_PORT => '80a' },
    { GENESYSCLOUD_PROXY_PORT => '3128' }) {
    my ($name) = sort grep { !/HOST/ } keys %$env;
    for my $url ('http://gw.invalid/', 'https://gw.invalid/') {
        like(ask($env, $url), qr/^invalid\|[^|]*not sent: $name/, "$name=$env->{$name}: nothing is sent to $url");
    }
    my $r = moon({ env => { %$env, GENESYSCLOUD_REGION => 'https://gw.invalid', GENESYSCLOUD_OAUTHCLIENT_ID => 'proxy-client-1', GENESYSCLOUD_OAUTHCLIENT_SECRET => 'proxy-secret-22' } }, 'doctor');
    like($r->{out}, qr/^FAIL  proxy          $name/m, 'doctor says so');
    is(moon({ env => $env }, '-q', '--sim', 'deploy-index', index_file('orders'))->{status}, 0, '--sim works');
}

# ---- a real one ----

SKIP: {
    skip 'no tinyproxy', 2 unless grep { -x "$_/tinyproxy" } split /:/, $ENV{PATH};
    my $free = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1')->sockport;
    write_file('tiny.conf', "Port $free\nListen 127.0.0.1\nLogFile \"$dir/tiny.log\"\nLogLevel Info\nMaxClients 10\nTimeout 20\nConnectPort 443\nBasicAuth bob open-sesame-9\n");
    write_file('tiny.log', '');
    my $t = start(qr/()/, 'tinyproxy', '-d', '-c', "$dir/tiny.conf") or skip 'tinyproxy does not start', 2;
    for (1 .. 500) { last if IO::Socket::INET->new(PeerAddr => "127.0.0.1:$free"); select undef, undef, undef, 0.02 }
    like(ask({ HTTPS_PROXY => "http://bob:wrong-word-1\@127.0.0.1:$free" }, 'https://192.0.2.1/', 5), qr/status 40[17]/, 'tinyproxy: a wrong password');
    like(ask({ HTTPS_PROXY => "http://bob:open-sesame-9\@127.0.0.1:$free" }, 'https://127.0.0.2.invalid:444/', 5), qr/status 403 \(forbidden\)/, 'tinyproxy: a port that it does not allow');
}
done_testing;
