# Moon.pm - running moongate and its peers from a test: a folder of its own, a clean environment, everything bounded in time,
# every process ended with the test. Waiting is for a line of output, never for a time.
package Moon;
use strict;
use warnings;
use Cwd qw(abs_path getcwd);
use Exporter 'import';
use File::Path qw(make_path remove_tree);
use File::Temp qw(tempdir);
use HTTP::Tiny;
use IO::Select;
use IPC::Open3 qw(open3);
use JSON::PP ();
use POSIX qw(WNOHANG);
use Symbol qw(gensym);
use Test::More;
use Time::HiRes qw(time);

our @EXPORT = qw($root $moongate $dir run moon start start_sim start_peer prism_said need_peers sim_get sim_post
  write_file read_file json slurp_lines index_file);
our $root     = abs_path(__FILE__) =~ s{/tests/e2e/lib/[^/]+$}{}r;
our $moongate = abs_path($ENV{MOONGATE} // "$root/build/moongate") or die "no moongate";
make_path("$root/build/e2e");
our $dir = tempdir('XXXXXXXX', DIR => "$root/build/e2e", CLEANUP => 1);
my @started;

# Nothing of the person who runs the tests: no home, no credentials, no proxy.
delete @ENV{ grep { /^(GENESYS|MOONGATE_(?!SOAK$)|EXTERNAL_AI|XDG_|OTEL_|TRACE|SSL_CERT_)|_proxy$/i } keys %ENV };
@ENV{qw(HOME XDG_STATE_HOME LC_ALL TZ MOONGATE_TRUST)} = ($dir, "$dir/state", 'C.UTF-8', 'UTC', $dir);
chdir $dir or die $!;

sub write_file { my ($name, $text) = @_; open my $fh, '>:raw', $name or die "$name: $!"; print $fh $text; close $fh or die "$name: $!"; $name }
sub read_file { my ($name) = @_; open my $fh, '<:raw', $name or die "$name: $!"; local $/; my $t = <$fh>; $t // '' }
sub slurp_lines { split /\n/, read_file(@_) }
sub json { JSON::PP->new->utf8->allow_nonref->decode($_[0]) }

# run({opts}, command...) -> {status, signal, out, err, elapsed}.  opts: env, seconds (default 60), stdin (text), dir
sub run {
    my $o = ref $_[0] ? shift : {};
    my @cmd = @_;
    my $start = time;
    my $p = eval { spawn($o, @cmd) } or return { status => 127, signal => 0, out => '', err => $@, elapsed => 0 };
    my $in = $p->{in};
    if (length($o->{stdin} // '')) { local $SIG{PIPE} = 'IGNORE'; print $in $o->{stdin} }
    close $in;
    my %text = (out => '', err => '');
    my $sel = IO::Select->new($p->{out}, $p->{err});
    my $end = time + ($o->{seconds} // 60);
    my $late;
    while ($sel->count) {
        my @ready = $sel->can_read($end - time > 0 ? $end - time : 0);
        if (!@ready) { $late = 1; kill KILL => $p->{pid}; last }
        for my $fh (@ready) {
            my $n = sysread $fh, my $part, 65536;
            if ($n) { $text{ $fh == $p->{out} ? 'out' : 'err' } .= $part } else { $sel->remove($fh) }
        }
    }
    waitpid $p->{pid}, 0;
    my $st = $?;
    diag("ran for too long: @cmd") if $late;
    return { status => $late ? -1 : $st >> 8, signal => $st & 127, out => $text{out}, err => $text{err}, elapsed => time - $start };
}
sub moon { my $o = ref $_[0] ? shift : {}; run($o, $moongate, @_) }

sub spawn {
    my ($o, @cmd) = @_;
    local %ENV = (%ENV, %{ $o->{env} // {} });
    my $cwd = getcwd;
    chdir $o->{dir} or die "$o->{dir}: $!" if $o->{dir};
    my $err = gensym;
    my $pid = open3(my $in, my $out, $err, @cmd);
    chdir $cwd;
    binmode $_ for $in, $out, $err;
    return { pid => $pid, in => $in, out => $out, err => $err };
}

# start({opts}, qr/ready (\S+)/, command...) -> {pid, ready => what the pattern caught}. Output goes to a file: {log}.
my $n = 0;
sub start {
    my $o = ref $_[0] eq 'HASH' ? shift : {};
    my ($ready, @cmd) = @_;
    my $log = "$dir/process-" . ++$n . '.log';
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        setpgrp;
        @ENV{ keys %{ $o->{env} // {} } } = values %{ $o->{env} // {} };
        chdir $o->{dir} if $o->{dir};
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', $log;
        open STDERR, '>&', \*STDOUT;
        exec @cmd or POSIX::_exit(127);
    }
    push @started, $pid;
    my $end = time + ($o->{seconds} // 30);
    while (time < $end) {
        my $text = -e $log ? read_file($log) : '';
        return { pid => $pid, ready => $1, log => $log } if $text =~ $ready;
        if (waitpid($pid, WNOHANG) == $pid) { diag("@cmd ended early: $text"); return }
        select undef, undef, undef, 0.02;    # a poll, bounded by $end
    }
    diag("@cmd: not ready in time: " . (-e $log ? read_file($log) : ''));
    return;
}

# start_sim(flags...): `moongate sim` on a free port -> {pid, log, url, env}; env is what makes another moongate use it.
sub start_sim {
    my $p = start(qr/^(  export GENESYSCLOUD_OAUTHCLIENT_SECRET=\S+\n)/m, $moongate, 'sim', @_) or BAIL_OUT('the simulator did not start');
    my %env = read_file($p->{log}) =~ /^  export (\w+)=(\S+)$/mg;
    return { %$p, url => $env{GENESYSCLOUD_REGION}, env => { %env, GENESYS_CLOUD_VECTOR_STORE_ID => 'store-1' } };
}

# The simulator's control paths: sim_get($sim, 'stats'), sim_post($sim, 'faults', 'status=503,rate=0.1').
sub sim_get  { my ($sim, $what) = @_; json(HTTP::Tiny->new(timeout => 10)->get("$sim->{url}/__sim/$what")->{content}) }
sub sim_post { my ($sim, $what, $body) = @_; HTTP::Tiny->new(timeout => 10)->post("$sim->{url}/__sim/$what", { content => $body // '' }) }

# An index configuration, good unless told otherwise -> its file's name.
sub index_file {
    my ($name, %change) = @_;
    my %config = (
        indexId => $name, dimensions => 768, similarityMetric => 'cosine', embeddingFormat => 'float32',
        autoIngestTrigger => JSON::PP::true(), webhookSyncUrl => 'http://127.0.0.1:9/sync', %change,
    );
    return write_file("$name.json", JSON::PP->new->canonical->encode(\%config));
}

sub need_peers {
    my $why = !-e "$root/tests/e2e/node_modules/.moongate-lock" ? 'the npm packages of tests/e2e are not installed (needs Node.js 18 or later)' : undef;
    plan skip_all => $why if $why;
}
# start_peer(name, args...): tests/e2e/peers/<name>.mjs, which prints "ready {json}" when it is.
sub start_peer {
    my ($name, @args) = @_;
    my $p = start(qr/^ready (\{.*\})$/m, 'node', "$root/tests/e2e/peers/$name.mjs", @args) or BAIL_OUT("peer $name did not start");
    $p->{info} = json($p->{ready});
    return $p;
}

# What Prism has said since the last call: ([requests], [violations]). It logs behind the answer, so a mark is sent, a request that is in
# no document, and waited for.
my ($marks, %read) = (0);
my $unknown_path = qr/Selected route not found|NO_PATH_MATCHED/;    # of the marks; for anything else the counts of requests would be off
sub prism_said {
    my ($p) = @_;
    my ($mark, $end, $text) = ('/mark-' . ++$marks, time + 10, '');
    HTTP::Tiny->new(timeout => 10)->get("$p->{info}{url}$mark");
    until ($text =~ m{\A(.*?)^request GET $mark\n}ms) {
        if (time > $end) { fail('Prism tells what it saw'); last }
        select undef, undef, undef, 0.02;
        $text = substr read_file($p->{log}), $read{ $p->{log} } // 0;
    }
    $read{ $p->{log} } += length $text;
    return ([grep { $_ ne "GET $mark" } $text =~ /^request (.*)$/mg], [grep { !/$unknown_path/ } $text =~ /^violation (.*)$/mg]);
}

END {
    my $status = $?;
    kill TERM => -$_ for @started;
    for my $pid (@started) {
        my $end = time + 3;
        while (waitpid($pid, WNOHANG) == 0) {
            kill KILL => -$pid if time > $end;
            select undef, undef, undef, 0.02;
        }
    }
    chdir '/';
    $? = $status;
}
1;
