#!/usr/bin/env perl
# Checkpoints and proofs of the audit log, checked by programs that were not written here: Go's x/mod (the program in docs/audit.md) and OpenSSL.
# Forged logs with a good chain; a rotation beside processes that append.
use strict;
use warnings;
use Digest::SHA qw(sha256 sha256_hex);
use FindBin;
use lib "$FindBin::Bin/lib";
use MIME::Base64 qw(decode_base64);
use Moon;
use Test::More;

my $origin = 'example.com/moongate/test';
my $vkey   = moon('key', 'new', $origin, '--out', 'audit.key')->{out};
chomp $vkey;
like($vkey, qr{\A\Q$origin\E\+[0-9a-f]{8}\+[\w+/]+=*\z}, 'key new prints the verifier key');
is((stat 'audit.key')[2] & 0777, 0600, 'the key is for its owner alone');
my $again = moon('key', 'new', $origin, '--out', 'audit.key');
is($again->{status}, 1, 'and never replaced');

mkdir 'worm';
write_file('moongate.lua', qq{return { audit = { origin = "$origin", key_file = "audit.key", to = { "worm" } } }\n});
my $log = "$dir/.moongate/audit.jsonl";
my @verify = ('audit', 'verify', '--checkpoints', 'worm', '--vkey', $vkey);

sub events {
    my ($n) = @_;
    my $r = moon('-e', "local a = require 'moongate.audit' for i = 1, $n do assert(a.event { action = 't', n = i }) end");
    is($r->{status}, 0, "$n events") or diag($r->{err});
}
sub lines { split /(?<=\n)/, read_file($log) }

events(7);
is_deeply([ map { s{.*/}{}r } glob 'worm/*' ], ['7.checkpoint'], 'a checkpoint at the end of the run');
events(5);
is(moon('audit', 'rotate')->{status}, 0, 'rotate');
events(6);
my $r = moon(@verify);
is($r->{status}, 0, 'two segments, their checkpoints') or diag($r->{err});
my $size = (sort { $a <=> $b } map { /(\d+)/ } glob 'worm/*')[-1];
like($r->{out}, qr/the largest is of $size lines/);

# ---- other programs ----

SKIP: {
    my $go = '/usr/share/gocode/src/golang.org/x/mod/sumdb/note/note.go';
    skip 'Go or golang-golang-x-mod-dev is not installed', 3 unless -e $go && run('go', 'version')->{status} == 0;
    my ($program) = read_file("$root/docs/audit.md") =~ /^```go\n(.*?)^```/ms or BAIL_OUT('docs/audit.md has no Go program');
    mkdir 'checkproof';
    write_file('checkproof/main.go', $program);
    write_file('checkproof/main_test.go', <<'GO');
package main

import (
	"math/rand"
	"os"
	"path/filepath"
	"testing"
)

func TestProofs(t *testing.T) {
	files, _ := filepath.Glob(os.Getenv("PROOFS"))
	random := rand.New(rand.NewSource(11))
	for _, file := range files {
		proof, _ := os.ReadFile(file)
		if _, err := check(string(proof), os.Getenv("VKEY")); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	for i := 0; i < 10000; i++ {
		proof, _ := os.ReadFile(files[random.Intn(len(files))])
		bit := random.Intn(8 * len(proof))
		proof[bit/8] ^= 1 << (bit % 8)
		if _, err := check(string(proof), os.Getenv("VKEY")); err == nil {
			t.Errorf("bit %d changed, and accepted: %q", bit, proof)
		}
	}
}
GO
    mkdir 'proofs';
    my $bad = 0;
    $bad += moon('audit', 'prove', '--seq', $_, '--out', "proofs/$_.proof")->{status} != 0 for 1 .. $size;
    is($bad, 0, "$size proofs");
    my %env = (GO111MODULE => 'off', GOPATH => '/usr/share/gocode', GOCACHE => "$dir/gocache", GOFLAGS => '', PROOFS => "$dir/proofs/*.proof", VKEY => $vkey);
    my $test = run({ env => \%env, dir => 'checkproof', seconds => 300 }, 'go', 'test', '.');
    is($test->{status}, 0, 'Go accepts each proof, and refuses each of 10,000 changed bits') or diag($test->{out}, $test->{err});
    is($bad = grep({ moon('audit', 'verify-proof', "proofs/$_.proof", '--vkey', $vkey)->{status} != 0 } 1 .. $size), 0, 'so does verify-proof');
}

{
    my $note = read_file("worm/$size.checkpoint");
    my ($text, $signature) = $note =~ /\A(.*\n)\n\xe2\x80\x94 \S+ (\S+)\n\z/s;
    write_file('text', $text);
    write_file('signature', substr decode_base64($signature), 4);
    run('openssl', 'pkey', '-in', 'audit.key', '-pubout', '-out', 'audit.pub');
    my @openssl = (qw(openssl pkeyutl -verify -rawin -pubin -inkey audit.pub -sigfile signature -in text));
    is(run(@openssl)->{status}, 0, 'OpenSSL verifies a checkpoint');
    write_file('text', $text =~ s/^\d+$/@{[ $size + 1 ]}/mr);
    isnt(run(@openssl)->{status}, 0, 'and refuses another size');
}

# ---- forgeries: the chain is hashed again, so that only the checkpoints tell ----

sub rehash {
    my (@lines) = @_;
    my ($prev) = $lines[0] =~ /"prev":"([0-9a-f]+)"/;
    my ($seq)  = $lines[0] =~ /"seq":(\d+)/;
    for (@lines) {
        s/"prev":"[0-9a-f]+"/"prev":"$prev"/;
        s/"seq":\d+/'"seq":' . $seq++/e;
        my $bare = s/"hash":"[0-9a-f]{64}",//r;
        $prev = sha256_hex($bare =~ s/\n//r);
        s/"hash":"[0-9a-f]{64}"/"hash":"$prev"/;
    }
    return @lines;
}

sub found {
    my ($what, @lines) = @_;
    my ($good, $head, $kept) = (read_file($log), read_file("$log.head"), read_file("$log.checkpoint"));
    write_file($log, join '', @lines);
    unlink "$log.head", "$log.checkpoint";    # who forges a log takes these away
    my $r = moon(@verify);
    write_file($log, $good);
    write_file("$log.head", $head);
    write_file("$log.checkpoint", $kept);
    is($r->{status}, 8, $what) or diag($r->{out});
    return $r->{err};
}

my @good = lines();
is(join('', rehash(@good)), join('', @good), 'the forger hashes as the log does');
like(found('one line less', @good[ 0 .. $#good - 2 ]), qr/the log was cut: \d+ lines, a checkpoint says $size/);
like(found('a field changed, hashed again', rehash(map { s/"n":3/"n":4/r } @good)), qr/a line from \d+ to $size is not the one that was logged/);
found('two lines exchanged, hashed again', rehash(@good[ 0, 2, 1, 3 .. $#good ]));
found('a line taken out, hashed again',    rehash(@good[ 0 .. 2, 4 .. $#good ]));
like(found('a field changed', map { s/"n":3/"n":4/r } @good), qr/jsonl:\d+|line \d+/);
is(moon(@verify)->{status}, 0, 'and the log itself is good');

# ---- a seeded sample of changes in both segments; 20,000 of them under `make soak`, others with FORGERY_SEED and FORGERIES ----

sub leaf { sha256("\0" . $_[0] =~ s/\n\z//r) }
sub root { # of hashes, RFC 6962
    my (@h) = @_;
    return $h[0] if @h == 1;
    my $k = 1;
    $k *= 2 while 2 * $k < @h;
    return sha256("\1" . root(@h[ 0 .. $k - 1 ]) . root(@h[ $k .. $#h ]));
}
sub frontier {
    my (@h) = @_;
    my @out;
    while (@h) {
        my $k = 1;
        $k *= 2 while 2 * $k <= @h;
        push @out, unpack 'H*', root(splice @h, 0, $k);
    }
    return @out;
}

# Both segments hashed again as one log, with the tree that the second begins with: what somebody does who knows this program.
sub forge {
    my ($old, $new) = @_;
    my @old = rehash(@$old);
    my $size = @old;
    my $list = join ',', map { qq{"$_"} } frontier(map { leaf($_) } @old);
    my ($prev) = $old[-1] =~ /"hash":"([0-9a-f]{64})"/;
    my @new = @$new;
    $new[0] =~ s/"prev":"[0-9a-f]+"/"prev":"$prev"/;
    $new[0] =~ s/"seq":\d+/'"seq":' . ($size + 1)/e;
    $new[0] =~ s/"size":\d+/"size":$size/;
    $new[0] =~ s/"frontier":\[[^\]]*\]/"frontier":[$list]/;
    return (\@old, [ rehash(@new) ]);
}

{
    my $seed = $ENV{FORGERY_SEED} // 11;
    my $n = $ENV{FORGERIES} // ($ENV{MOONGATE_SOAK} ? 20000 : 60);
    srand $seed;
    my ($segment) = glob "$dir/.moongate/audit-*.jsonl";
    my @files = ([ split /(?<=\n)/, read_file($segment) ], [@good]);
    my @sizes = sort { $a <=> $b } map { m{/(\d+)\.checkpoint} } glob 'worm/*';
    my ($head, $kept) = (read_file("$log.head"), read_file("$log.checkpoint"));
    unlink "$log.head", "$log.checkpoint";
    my $write = sub {
        write_file($segment, join '', @{ $_[0] });
        write_file($log,     join '', @{ $_[1] });
    };
    my ($old, $new) = forge(map { [@$_] } @files);
    is(join('', @$old, @$new), join('', map { @$_ } @files), 'the forger makes the tree as the log does');
    my $missed = 0;
    for (1 .. $n) {
        my @f = map { [@$_] } @files;
        my $which = int rand 2;
        my $l     = $f[$which];
        my $covered = $which ? $size - @{ $f[0] } : @$l;    # lines that a checkpoint is of
        my $i    = int rand $covered;
        my $j    = int rand $covered;
        my $kind = int rand 8;
        my $seq  = $i + 1 + ($which ? @{ $f[0] } : 0);    # the first line that is not what was logged
        my $want = 'chain';
        if ($kind == 0) { my $at = int rand(length($l->[$i]) - 1); substr($l->[$i], $at, 1) = chr(ord(substr $l->[$i], $at, 1) ^ (1 << int rand 8)) }
        elsif ($kind == 1) { splice @$l, $i, 1 }
        elsif ($kind == 2) { splice @$l, $i; $want = $which ? 'cut' : 'chain' }
        elsif ($kind == 3) {
            $j = ($i + 1) % $covered if $j == $i;
            @$l[ $i, $j ] = @$l[ $j, $i ];
            $seq -= $i - $j if $j < $i;
        } else {    # with a good chain: only the checkpoints tell
            if ($kind == 4) { $l->[$i] =~ s/"time":"\d/"time":"9/ }
            elsif ($kind == 5) { $i ||= 1; $i-- if !$which && $i == $#$l; $seq = $i + 1 + ($which ? @{ $f[0] } : 0); splice @$l, $i, 1 }
            elsif ($kind == 6) { $i ||= 1; $seq = $i + 1 + ($which ? @{ $f[0] } : 0); splice @$l, $i, 0, $l->[$i] =~ s/"n":\d+/"n":99/r =~ s/"time":"\d/"time":"8/r }
            else { $l->[$i] =~ s/"action":"[^"]*/$&x/ }
            @f = forge(@f);
            $want = 'root';
        }
        $write->(@f);
        my $renamed;
        if ($want eq 'root' && @{ $f[0] } != @{ $files[0] }) {    # its name says its lines
            $renamed = $segment =~ s/-\d+\.jsonl\z/'-' . @{ $f[0] } . '.jsonl'/er;
            rename $segment, $renamed or die $!;
        }
        my $r = moon(@verify);
        unlink $renamed if $renamed;
        my $named = $r->{err} =~ /\.jsonl:(\d+)/ ? $1 : $r->{err} =~ /the log was cut: (\d+) lines/ ? $1 + 1 : 0;
        my $good;
        if ($want eq 'root' && $named != $seq) {
            my ($to) = grep { $_ >= $seq } @sizes;
            my $from = (grep { $_ < $seq } @sizes)[-1] // 0;
            $good = $r->{err} =~ /a line from @{[ $from + 1 ]} to $to is|one of the first $to lines|the log was cut/;
        } else {
            $good = $named == $seq;
        }
        next if $r->{status} == 8 && $good;
        diag("seed $seed, kind $kind in file $which, line $seq: $r->{status} $r->{out}$r->{err}") if $missed++ < 10;
    }
    $write->(@files);
    write_file("$log.head", $head);
    write_file("$log.checkpoint", $kept);
    is($missed, 0, "$n changes, cuts, exchanges and forgeries: all found, and the line named");
    is(moon(@verify)->{status}, 0, 'the log itself is good');
}

# ---- what was signed before ----

{
    my $good = read_file($log);
    write_file($log, join '', (lines())[ 0 .. 2 ]);
    unlink "$log.head";
    my $files = () = glob 'worm/*';
    my $r = moon('audit', 'checkpoint');
    is($r->{status}, 8, 'nothing is signed of a log that was cut') or diag($r->{out});
    like($r->{err}, qr/the log was cut: \d+ lines, a checkpoint says \d+/);
    is(scalar(() = glob 'worm/*'), $files, 'and nothing is sent');
    write_file($log, $good);
    write_file('worm/' . ((split /\n/, moon('audit', 'checkpoint')->{out})[1] + 1) . '.checkpoint', "another log\n");
    $r = moon('audit', 'checkpoint');
    is($r->{status}, 8, 'a file of that size with another content is an alarm');
    like($r->{err}, qr/has different content/);
}

# ---- where checkpoints go, and when ----

{
    mkdir $_ for 'project', 'project/worm';
    my $listener = start(qr{listening on (http://127\.0\.0\.1:\d+)}, $moongate, qw(webhook listen --body));
    my @config = ('--config', 'project/moongate.lua');
    my $project = sub {
        my ($audit) = @_;
        write_file('project/moongate.lua', <<"LUA");
return {
  webhooks = { gov = { url = "$listener->{ready}/hook", events = { "other" } } },
  audit = { origin = "$origin", $audit },
}
LUA
    };
    $project->('key = secret "AUDIT_KEY", every = 5, rotate = "2K", to = { "webhook:gov", "worm" }');
    my %env = (env => { AUDIT_KEY => read_file('audit.key') });
    write_file('slow.lua', <<'LUA');
local audit, fs, task = require "moongate.audit", require "moongate.fs", require "moongate.task"
for i = 1, 6 do assert(audit.event { action = "t", n = i }) end
for _ = 1, 200 do
  if #assert(fs.list "project/worm") > 0 then return "made while it runs" end
  task.sleep(0.1)
end
LUA
    $r = moon(\%env, @config, 'run', 'slow.lua');
    is($r->{out}, "made while it runs\n", 'a checkpoint after so many events') or diag($r->{err});
    my @segments = glob 'project/.moongate/audit-*-*.jsonl';
    is(scalar @segments, 1, 'the end of the run rotates a log of that size');
    is(moon(\%env, @config, 'audit', 'verify', '--checkpoints', 'project/worm', '--vkey', $vkey)->{status}, 0, 'all of it is good');
    like(read_file($listener->{log}), qr/audit_checkpoint.*"checkpoint":"\Q$origin\E\\n\d+/s, 'the webhook is sent the note, whatever its events are');
    like(moon(\%env, @config, qw(audit show --action checkpoint_sent))->{out}, qr/ to=webhook:gov/, 'and the log says so');
    like(moon(\%env, @config, 'doctor')->{out}, qr/checkpoints.*signed as \Q$vkey\E/, 'doctor names the verifier key');
    like(moon(@config, 'audit', 'checkpoint')->{err}, qr/AUDIT_KEY is not set/, 'without the key: named');

    rmdir 'project/worm' or run('rm', '-r', 'project/worm');
    $r = moon(\%env, @config, '-e', 'assert(require "moongate.audit".event { action = "t" })');
    is($r->{status}, 1, 'a folder that is not there: the run says so') or diag($r->{err});
    like(moon(\%env, @config, 'doctor')->{out}, qr{FAIL.*checkpoints.*worm is not a folder}, 'so does doctor');
    $project->('key = secret "AUDIT_KEY"');
    $r = moon(\%env, @config, '-e', 'print(require "moongate.workflow", require "moongate.host")');
    isnt($r->{status}, 0, 'a script has no host module, and so no rotation');
    my @lines = split /(?<=\n)/, read_file('project/.moongate/audit.jsonl');
    write_file('project/.moongate/audit.jsonl', join '', rehash(@lines, $lines[-1] =~ s/"phase":"event"/"phase":"intent"/r));
    unlink 'project/.moongate/audit.jsonl.head';
    $r = moon(\%env, @config, 'audit', 'rotate');
    is($r->{status}, 5, 'an intent is open: not rotated') or diag($r->{out});
    is(moon(\%env, @config, 'audit', 'rotate', '--keep-open-intents')->{status}, 0);
    like(moon(\%env, @config, 'audit', 'verify')->{out}, qr/1 intent without an outcome/, 'verify looks for outcomes over all segments');
}

# ---- approve ----

{
    my $plan = { format => 'moongate.plan/1', gateway => 'https://api.example.com', resource_changes => [ { address => 'index/vs/a', change => { actions => ['create'] } } ] };
    my $text = JSON::PP->new->canonical->encode($plan);    # the canonical form, as these values go
    write_file('plan.json', '{"approvals":[],"id":"sha256:' . sha256_hex($text) . '","plan":' . "$text}\n");
    my @approve = ('approve', 'plan.json', '--key-file', 'audit.key', '--name', $origin);
    is(moon(@approve)->{status}, 2, 'approve asks on a terminal, else it needs --yes');
    $r = moon(@approve, '--yes');
    is($r->{status}, 0, 'approve') or diag($r->{err});
    like($r->{err}, qr{index/vs/a  create\nhttps://api\.example\.com  1 create 0 update 0 delete}, 'shows the plan');
    is(scalar @{ json(read_file('plan.json'))->{approvals} }, 1, 'the note is in the plan');
    write_file('plan.json', read_file('plan.json') =~ s/example\.com"/example.org"/r);
    is(moon(@approve, '--yes')->{status}, 8, 'a plan that was changed is not approved');
}

{
    mkdir $_ for 'planned', 'planned/indexes';
    my $sim = start_sim();
    write_file('planned/moongate.lua', qq{return { approvals = { keys = { "$vkey" } }, audit = { origin = "$origin", key_file = "../audit.key" } }\n});
    write_file("planned/indexes/$_.json", read_file(index_file($_))) for qw(a b);
    my @planned = ({ env => $sim->{env}, dir => 'planned' });
    is(moon(@planned, 'plan', '--out', 'plan.json')->{status}, 0, 'plan');
    my $id = json(read_file('planned/plan.json'))->{id};
    $r = moon(@planned, 'apply', 'plan.json');
    is($r->{status}, 7, 'apply needs an approval') or diag($r->{out}, $r->{err});
    is(moon(@planned, qw(approve plan.json --key-file ../audit.key --yes --name), $origin)->{status}, 0);
    $r = moon(@planned, 'apply', 'plan.json');
    is($r->{status}, 0, 'apply') or diag($r->{out}, $r->{err});
    my @writes = grep { ($_->{plan} // '') eq $id } map { json($_) } split /\n/, read_file('planned/.moongate/audit.jsonl');
    my ($key) = $vkey =~ /^([^+]*\+[^+]*)/;
    is(scalar @writes, 4, 'two intents and two outcomes name the plan');
    is_deeply($_->{approved_by}, [$key], "$_->{phase} $_->{seq}: and the key that approved it") for @writes;
    $r = moon(@planned, 'audit', 'prove', '--plan', $id, '--out', 'proofs');
    is($r->{status}, 0, 'prove --plan') or diag($r->{err});
    is_deeply([ sort map { m{/(\d+)\.proof} } glob 'planned/proofs/*' ], [ sort map { $_->{seq} } @writes ], 'a proof for each');
    is(grep({ moon('audit', 'verify-proof', $_, '--vkey', $vkey)->{status} != 0 } glob 'planned/proofs/*'), 0, 'and each is good');
}

# ---- two processes append while a third rotates ----

{
    my $apart = "$dir/apart/audit.jsonl";
    mkdir 'apart';
    write_file('append.lua', "local a = require 'moongate.audit'\nfor i = 1, tonumber(...) do assert(a.event { action = 't', n = i }) end\n");
    my @pids;
    for (1, 2) {
        my $pid = fork // die $!;
        if (!$pid) { open STDOUT, '>', '/dev/null'; exec $moongate, '--config', write_file("none-$$.lua", "return {}\n"), '--audit-log', $apart, 'run', 'append.lua', 300 or POSIX::_exit(127) }
        push @pids, $pid;
    }
    my $rotated = 0;
    for (1 .. 12) { $rotated++ if moon('--audit-log', $apart, 'audit', 'rotate')->{status} == 0 }
    my $bad = 0;
    for (@pids) { waitpid $_, 0; $bad++ if $? }
    is($bad, 0, 'nobody who appends notices');
    ok($rotated > 0, "$rotated rotations");
    $r = moon('--audit-log', $apart, '--json', 'audit', 'verify');
    is($r->{status}, 0, 'one chain') or diag($r->{err});
    my $seen = () = join('', map { read_file($_) } glob 'apart/audit*.jsonl') =~ /"action":"script\.t"/g;
    is($seen, 600, 'with every event');
}

# ---- several processes sign at one moment ----

{
    mkdir $_ for 'signers', 'signers/worm';
    write_file('signers/moongate.lua', qq{return { audit = { origin = "$origin", key_file = "../audit.key", to = { "worm" } } }\n});
    my @pids;
    for (1 .. 6) {
        my $pid = fork // die $!;
        if (!$pid) {
            open STDOUT, '>', '/dev/null';
            for (1 .. 3) { system($moongate, '--config', 'signers/moongate.lua', '-e', 'assert(require "moongate.audit".event { action = "t" })') == 0 or POSIX::_exit(1) }
            POSIX::_exit(0);
        }
        push @pids, $pid;
    }
    my $bad = 0;
    for (@pids) { waitpid $_, 0; $bad++ if $? }
    is($bad, 0, 'processes that sign at one moment');
    my ($largest) = sort { $b <=> $a } map { m{/(\d+)\.checkpoint} } glob 'signers/worm/*';
    is(read_file('signers/.moongate/audit.jsonl.checkpoint'), read_file("signers/worm/$largest.checkpoint"), 'the largest checkpoint stays the last');
    is(moon('--config', 'signers/moongate.lua', qw(audit verify --checkpoints signers/worm --vkey), $vkey)->{status}, 0, 'and each is good');
}

# ---- logrotate: the log is moved, or copied and emptied, while a process writes ----

for my $how ('moved', 'copied and emptied') {
    my $p = $how eq 'moved' ? 'moved' : 'emptied';
    mkdir $_ for $p, "$p/worm";
    my ($live, $copy) = ("$p/.moongate/audit.jsonl", "$p/.moongate/audit.jsonl.1");
    my @config = ('--config', "$p/moongate.lua");
    write_file("$p/moongate.lua", qq{return { audit = { origin = "$origin", key_file = "../audit.key", to = { "worm" } } }\n});
    is(moon(@config, '-e', 'local a = require "moongate.audit" for i = 1, 4 do assert(a.event { action = "t", n = i }) end')->{status}, 0, "$how: signed before");
    write_file("$p/write.lua", <<'LUA');
local audit, fs, task = require "moongate.audit", require "moongate.fs", require "moongate.task"
assert(audit.event { action = "before" })
for _ = 1, 300 do
  if #assert(fs.list(...)) > 0 then break end
  task.sleep(0.05)
end
for i = 1, 9 do assert(audit.event { action = "after", n = i }) end
LUA
    mkdir "$p/go";
    my $writer = start(qr/()/, $moongate, @config, 'run', "$p/write.lua", "$p/go");
    for (1 .. 1000) { last if read_file($live) =~ /script\.before/; select undef, undef, undef, 0.02 }
    if ($p eq 'moved') { rename $live, $copy or die $! }
    else { write_file($copy, read_file($live)); open my $fh, '>', $live or die $!; close $fh }
    write_file("$p/go/now", '');
    waitpid $writer->{pid}, 0;
    is($? >> 8, 8, "$how: the process that writes reports it");
    my $said = read_file($writer->{log});
    like($said, qr/was gone or empty/, 'at the time');
    like($said, qr/starts again after line 6, because it was moved away or emptied/, 'and at its end, where nothing is signed');
    is_deeply([ map { s{.*/}{}r } glob "$p/worm/*" ], ['4.checkpoint'], 'and nothing is sent');
    for my $args ([], [ '--checkpoints', "$p/worm", '--vkey', $vkey ]) {
        my $r = moon(@config, qw(audit verify), @$args);
        is($r->{status}, 8, join ' ', 'audit verify', $args->[0] // (), 'finds it');
        like($r->{err}, qr/starts again after line 6, because it was moved away or emptied/, 'and says why');
    }
    is(moon(qw(audit verify), $copy, '--checkpoints', "$p/worm", '--vkey', $vkey)->{status}, 0, 'the file that was put aside holds what was signed');
    unlink $copy;
    my $r = moon(@config, qw(audit verify));
    is($r->{status}, 8, 'without it, too') or diag($r->{out});
}
done_testing;
