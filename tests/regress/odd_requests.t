#!/usr/bin/env perl
# Every request gets an answer, and what one client sends ends nothing for the others: bytes that are no UTF-8 in a
# path, a query, a header or a body; methods that nobody knows; bodies that are not worth reading.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../e2e/lib";
use IO::Socket::INET;
use Moon;
use Test::More;

my $sim = start_sim();
my ($port) = $sim->{url} =~ /:(\d+)$/;

# Sends bytes -> the first answer: status, headers, body.
sub raw {
    my ($to, $bytes) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $to, Timeout => 10) or die "connect: $!";
    local $SIG{PIPE} = 'IGNORE';
    local $SIG{ALRM} = sub { die "no answer to $bytes\n" };
    alarm 20;
    syswrite $socket, $bytes;
    my $in = '';
    1 while sysread $socket, $in, 65536, length $in;
    alarm 0;
    my ($status, $head, $body) = $in =~ m{^HTTP/1\.1 (\d+).*?\r\n(.*?)\r\n\r\n(.*)}s or return (0, '', $in);
    return ($status, $head, $body);
}

sub request {
    my ($method, $target, $body, @headers) = @_;
    my $head = join '', map { "$_\r\n" } "$method $target HTTP/1.1", 'Host: h', 'Connection: close', @headers;
    $head .= 'Content-Length: ' . length($body) . "\r\n" if defined $body;
    return raw($port, "$head\r\n" . ($body // ''));
}

my $index = '/api/v2/ai/vectorstores/v/indexes';
for my $case (
    ['a body of one odd byte', 204, 'POST', '/__sim/webhooks/a', "\xfe"],
    ['a body that is cut within a character', 204, 'POST', '/__sim/webhooks/a', "x" . "\xc3\xa9" x 10000],
    ['odd headers', 204, 'POST', '/__sim/webhooks/a', 'x', "X-Audit-Source: \xfd", "Idempotency-Key: \xfc", "webhook-id: \xc0\xaf"],
    ['a time without end', 204, 'POST', '/__sim/webhooks/a', 'x', 'webhook-timestamp: 1e999', 'webhook-id: a', 'webhook-signature: b'],
    ['deep JSON', 204, 'POST', '/__sim/webhooks/a', '{"type":' . '[' x 90 . ']' x 90 . '}'],
    ['an odd name', 400, 'POST', '/__sim/webhooks/%ff', 'x'],
    ['an odd path', 404, 'GET', "/\xff\xfe"],
    ['an odd index', 400, 'GET', "$index/%fe"],
    ['a surrogate in a path', 400, 'GET', "$index/%ed%a0%80"],
    ['an odd query', 401, 'GET', '/api/v2/ai/models?%ff=%fe&pageSize=%fd&=&&'],
    ['an odd method', 400, "\xff\xfe", '/metrics'],
    ['an unknown method', 405, 'BREW', '/metrics'],
    ['OPTIONS', 405, 'OPTIONS', '/__sim/state'],
    ['OPTIONS for all', 404, 'OPTIONS', '*'],
    ['a form that is none', 400, 'POST', '/oauth/token', "\xff", 'Content-Type: application/x-www-form-urlencoded'],
    ['another content type', 400, 'POST', '/oauth/token', '{}', 'Content-Type: application/json'],
    ['an odd content type', 400, 'POST', '/v1/chat/completions', "\xff\xfe", 'Content-Type: application/json'],
    ['no content type', 415, 'POST', '/v1/chat/completions', '{}'],
    ['no body', 400, 'POST', '/v1/chat/completions', '', 'Content-Type: application/json'],
    ['an odd fault', 400, 'POST', '/__sim/faults', "\xff"],
    ['an odd id of a fault', 200, 'DELETE', '/__sim/faults?id=%ff'],
  )
{
    my ($what, $want, @request) = @$case;
    my ($status) = request(@request);
    is($status, $want, "$what: $want");
}
for my $path ('/__sim/state', '/__sim/stats', '/__sim/faults', '/metrics') {
    my ($status, undef, $body) = request('GET', $path);
    is($status, 200, "$path is alive");
    ok(utf8::decode(my $text = $body), 'and is UTF-8');
    my ($of_head, $head, $nothing) = request('HEAD', $path);
    is("$of_head $nothing", '200 ', "HEAD $path");
    like($head, qr/^Content-Length: [1-9]/m, 'with the length that GET has');
}
my $last = (sim_get($sim, 'state')->{receiver}{a}{deliveries})->[0];
is($last->{body}, '\\xfe', 'an odd byte is shown as what it is');

# What its head refuses is not read.
my $large = 'a' x (4 << 20);
for (1 .. 3) {
    my ($status, undef, $body) = request('PUT', "$index/x", $large, 'Content-Type: application/json', 'Authorization: Bearer none');
    is($status, 401, 'a large body without a token that counts');
    like($body, qr/bad\.credentials/, 'and the reason arrives');
}
is((request('PUT', '/nothing/here', $large))[0], 404, 'a large body to nothing');
is((request('POST', '/metrics', 'a' x (65 << 20)))[0], 413, 'a body beyond the limit');

# One total for all bodies.
my $small = start_sim('--max-body', 200000, '--max-bodies', 300000);
($port) = $small->{url} =~ /:(\d+)$/;
my ($busy, @held) = 0;
for (1 .. 100) {    # which of two bodies meets the limit is a matter of time, so the one that is held is sent anew for each try
    $_->close for @held;
    @held = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port);
    print { $held[0] } "POST /__sim/webhooks/a HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 190000\r\n\r\n", 'a' x 180000;
    $held[0]->flush;
    for (1 .. 10) {
        $busy = (request('POST', '/__sim/webhooks/b', 'a' x 130000))[0];
        last if $busy == 503;
    }
    last if $busy == 503;
}
is($busy, 503, 'no room for one more body');
is((request('GET', '/metrics'))[0], 200, 'but for requests without');
print { $held[0] } 'a' x 10000;
$held[0]->flush;
like(readline $held[0], qr/ 204 | 503 /, 'the one that is held is answered');
close $_ for @held;
my $free = 0;
for (1 .. 100) {
    $free = (request('POST', '/__sim/webhooks/b', 'a' x 190000))[0];
    last if $free == 204;
    select undef, undef, undef, 0.02;
}
is($free, 204, 'and who is gone takes no room');
done_testing;
