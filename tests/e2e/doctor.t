#!/usr/bin/env perl
# What `moongate doctor` finds, each with its verdict, its hint and the exit status.
use strict;
use warnings;
use Cwd qw(abs_path);
use FindBin;
use lib "$FindBin::Bin/lib";
use Moon;
use Test::More;

# {check => {status, message, hint}} of a run with --json, and its exit status.
sub doctor {
    my ($o, @args) = @_;
    my $r = moon({ %$o, seconds => 30 }, '--json', @args, 'doctor');
    my $doc = eval { json($r->{out}) } or do { fail('a document'); diag(explain $r); return ({}, $r->{status}) };
    is($doc->{ok} ? 0 : 1, $r->{status} ? 1 : 0, 'ok and the exit status agree');
    return ({ map { $_->{check} => $_ } @{ $doc->{findings} } }, $r->{status});
}

sub finding {
    my ($found, $check, $status, $message, $what) = @_;
    my $f = $found->{$check} // {};
    is($f->{status}, $status, "$what: $check is $status") or return diag(explain $found);
    like($f->{message}, $message, 'and says why');
    ok($f->{hint}, 'and what to do') if $status ne 'ok';
}

subtest 'nothing set up' => sub {
    my ($found, $status) = doctor({}, '--deadline', '1s', '--region', 'http://127.0.0.1:1');
    is($status, 4, 'no credentials: 4');
    finding($found, 'credentials', 'FAIL', qr/no credentials/, 'nothing');
    finding($found, 'API host', 'FAIL', qr/./, 'nothing');
    finding($found, 'state folder', 'ok', qr/created when first needed/, 'nothing');
};

subtest 'simulated' => sub {
    my ($found, $status) = doctor({}, '--sim');
    is($status, 0);
    finding($found, $_, 'ok', qr/./, '--sim') for 'gateway', 'API host', 'clock', 'token', 'state folder', 'state', 'audit log';
    my $r = moon('--sim', '--color', 'never', 'doctor');
    like($r->{out}, qr/\Aok    project file /, 'for people');
    unlike($r->{out}, qr/\e/);
    like(moon('--sim', '--color', 'always', 'doctor')->{out}, qr/\e\[32mok  /, 'in colour when asked');
};

subtest 'the folder and the hosts of webhooks' => sub {
    require IO::Socket::INET;
    my $receiver = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1', LocalPort => 0) or die $!;
    my $url = 'http://127.0.0.1:' . $receiver->sockport;
    mkdir 'project';
    mkdir 'project/home';
    my %o = (dir => 'project', env => { HOME => abs_path('project/home'), MOONGATE_TRUST => '' });
    write_file('project/moongate.lua', qq(return { webhooks = { a = { url = "$url/hook/7" } }, permissions = { write = { "." } } }\n));
    my @login = ('--deadline', '1s', '--region', 'http://127.0.0.1:1');
    my ($found) = doctor(\%o, @login);
    finding($found, 'folder', 'warn', qr/was never allowed on this machine/, 'a cloned folder');
    like($found->{folder}{hint}, qr/moongate allow/, 'and how to');
    finding($found, 'webhook host', 'ok', qr/^\Q$url\E can be connected to \(no TLS\)/, 'a receiver');
    $receiver->timeout(10);
    my $c = $receiver->accept or return fail('it was not connected to');
    is(do { local $/; scalar <$c> } // '', '', 'it is sent nothing');
    moon(\%o, 'allow');
    ($found) = doctor(\%o, @login);
    finding($found, 'folder', 'ok', qr/is allowed on this machine/, 'allowed');
    write_file('project/moongate.lua', read_file('project/moongate.lua') . "-- and more\n");
    ($found) = doctor(\%o, @login);
    finding($found, 'folder', 'warn', qr/has changed since/, 'changed');
    mkdir 'project/workflows';
    unlink 'project/moongate.lua';
    ($found) = doctor(\%o, @login);
    finding($found, 'folder', 'warn', qr/was never allowed/, 'workflows alone');
    close $receiver;
};

subtest 'a host that does not resolve' => sub {
    my ($found) = doctor({}, '--deadline', '1s', '--region', 'nowhere.invalid');
    finding($found, 'API host', 'FAIL', qr/the host name does not resolve/, 'no such name');
    like($found->{'API host'}{hint}, qr/api\.nowhere\.invalid.*made of the region "nowhere\.invalid" \(from/, 'what the host was made of');
    my $r = moon({ env => { GENESYSCLOUD_ACCESS_TOKEN => 'given-token-77' } }, '--deadline', '1s', '--region', 'nowhere.invalid', 'get', 'index', 'a/b');
    like($r->{err}, qr/made of the region "nowhere\.invalid"/, 'and in the first error of a command') or diag($r->{err});
};

subtest 'credentials' => sub {
    my $p = start(qr/GENESYSCLOUD_REGION=(http\S+)/, $moongate, 'sim') or return fail('sim starts');
    my %at = (GENESYSCLOUD_REGION => $p->{ready});
    my ($found, $status) = doctor({ env => { %at, GENESYSCLOUD_OAUTHCLIENT_ID => 'sim-client' } });
    is($status, 4);
    finding($found, 'credentials', 'FAIL', qr/no client secret/, 'half of a client');
    ($found, $status) = doctor({ env => { %at, GENESYSCLOUD_OAUTHCLIENT_ID => 'sim-client', GENESYSCLOUD_OAUTHCLIENT_SECRET => 'wrong-secret' } });
    is($status, 4);
    finding($found, 'token', 'FAIL', qr/client/, 'a wrong secret');
    is($found->{'client secret'}{message}, '***, from GENESYSCLOUD_OAUTHCLIENT_SECRET', 'masked, and from where');
    ($found, $status) = doctor({ env => { %at, GENESYSCLOUD_OAUTHCLIENT_ID => 'sim-client', GENESYSCLOUD_OAUTHCLIENT_SECRET => 'sim-secret' } });
    is($status, 0);
    finding($found, 'token', 'ok', qr/minted, valid for \d+ s/, 'the right ones');
    ($found, $status) = doctor({ env => { %at, GENESYSCLOUD_ACCESS_TOKEN => 'a-token-of-mine' } });
    is($status, 0);
    finding($found, 'token', 'ok', qr/given by the user/, 'a token');
    ($found, $status) = doctor({}, '--region', 'us-esat-1');
    is($status, 3);
    finding($found, 'credentials', 'FAIL', qr/us-esat-1/, 'an unknown region');
    ($found, $status) = doctor({}, '--profile', 'nobody');
    is($found->{credentials}{status}, 'FAIL', 'an unknown profile');
};

subtest 'TLS' => sub {
    plan skip_all => 'no openssl' unless grep { -x "$_/openssl" } split /:/, $ENV{PATH};
    run('openssl', qw(req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost -addext),
        'subjectAltName=DNS:localhost,IP:127.0.0.1', qw(-keyout key.pem -out cert.pem));
    my $p = start(qr/GENESYSCLOUD_REGION=(https\S+)/, $moongate, 'sim', '--tls', 'cert.pem', 'key.pem') or return fail('sim starts');
    my %env = (GENESYSCLOUD_REGION => $p->{ready}, GENESYSCLOUD_OAUTHCLIENT_ID => 'sim-client', GENESYSCLOUD_OAUTHCLIENT_SECRET => 'sim-secret');
    my ($found, $status) = doctor({ env => \%env });
    is($status, 6, 'a certificate nobody vouches for: 6');
    finding($found, 'API host', 'FAIL', qr/certificate/i, 'no CA');
    ($found, $status) = doctor({ env => \%env }, '--cacert', 'cert.pem');
    is($status, 0);
    finding($found, 'API host', 'ok', qr/TLS 1\.2 or later, certificate verified by cert\.pem/, '--cacert');
};

subtest 'clock' => sub {
    write_file('late.lua', <<'LUA');
local httpd, time, task = require "moongate.httpd", require "moongate.time", require "moongate.task"
local ahead = tonumber((...))
local server = assert(httpd.serve { handler = function() return { status = 404, headers = { Date = time.http_date(time.now() + ahead) } } end })
print("ready " .. server.url)
task.sleep(600)
LUA
    for ([0, 'ok', qr/within/], [100, 'warn', qr/(?:99|100|101) s behind/], [-100, 'warn', qr/(?:99|100|101) s ahead of/], [-4000, 'FAIL', qr/ahead of/]) {
        my ($ahead, $status, $message) = @$_;
        my $p = start(qr/ready (http\S+)/, $moongate, 'run', 'late.lua', $ahead) or return fail('a server');
        my ($found) = doctor({ env => { GENESYSCLOUD_REGION => $p->{ready}, GENESYSCLOUD_ACCESS_TOKEN => 'a-token-of-mine' } });
        finding($found, 'clock', $status, $message, "$ahead s");
    }
};

subtest 'state and audit log' => sub {
    my $p = start(qr/GENESYSCLOUD_REGION=(http\S+)/, $moongate, 'sim') or return fail('sim starts');
    my %sim = (GENESYSCLOUD_REGION => $p->{ready}, GENESYSCLOUD_OAUTHCLIENT_ID => 'sim-client', GENESYSCLOUD_OAUTHCLIENT_SECRET => 'sim-secret');
    mkdir 'open', 0755;
    chmod 0755, 'open';
    my ($found, $status) = doctor({ env => \%sim }, '--state', 'open');
    is($status, 0);
    finding($found, 'state folder', 'warn', qr/open to other users \(mode 755\)/, 'mode 755');
    write_file('file', '');
    ($found, $status) = doctor({ env => \%sim }, '--state', 'file/below');
    is($status, 1, 'no place for state: 1');
    finding($found, 'state folder', 'FAIL', qr/can't be made/, 'below a file');
    ($found, $status) = doctor({ env => \%sim }, '--state', 'mysql://db/x');
    is($status, 3);
    finding($found, 'state folder', 'FAIL', qr/sqlite:FILE or postgres/, 'another database');
    ($found, $status) = doctor({ env => \%sim }, '--state', 'postgres://me:hush-hush@127.0.0.1:1/x');
    is($status, 3, 'a password for all to read: 3');
    finding($found, 'state folder', 'FAIL', qr/pgpass/, 'a password in a flag');
    ($found, $status) = doctor({ env => { %sim, MOONGATE_STATE => 'postgres://me:hush-hush@127.0.0.1:1/x' } });
    is($status, 1, 'no server: 1');
    finding($found, 'state', 'FAIL', qr{postgres://me\@127\.0\.0\.1:1/x }, 'no server, and no password in sight');
    write_file('damaged.db', 'no database at all, but long enough to look at' x 100);
    ($found, $status) = doctor({ env => \%sim }, '--state', 'sqlite:damaged.db');
    is($status, 1, 'a damaged file: 1');
    finding($found, 'state', 'FAIL', qr/is damaged.*copy/, 'damaged');
    is(read_file('damaged.db'), 'no database at all, but long enough to look at' x 100, 'and is left as it is');
    moon('--audit-log', 'a.jsonl', '-e', 'local a = require "moongate.audit" for i = 1, 3 do a.event { action = "x", n = i } end');
    my $log = read_file('a.jsonl');
    write_file('bad.jsonl', $log =~ s/"n":2/"n":9/r);
    ($found, $status) = doctor({ env => \%sim }, '--audit-log', 'bad.jsonl');
    is($status, 8, 'a broken log: 8');
    finding($found, 'audit log', 'FAIL', qr/line 2/, 'a changed line');
    write_file('torn.jsonl', substr $log, 0, -9);
    ($found, $status) = doctor({ env => \%sim }, '--audit-log', 'torn.jsonl');
    is($status, 0);
    finding($found, 'audit log', 'warn', qr/line 3/, 'a torn line');
};

done_testing;
