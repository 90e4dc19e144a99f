#!/usr/bin/env perl
# The HTTP client against servers of others: nginx, nghttpd and HAProxy over HTTP/1.1 and HTTP/2, and a host that drops packets. Every answer
# arrives, what was not processed is sent again, nothing is sent twice, and one dead host ends nothing for others. POSTS and INDEXES: how many.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use Moon;
use Socket;
use Test::More;

$ENV{PATH} .= ':/usr/sbin';
sub has_program { my ($name) = @_; scalar grep { -x "$_/$name" } split /:/, $ENV{PATH} }
for my $tool (qw(openssl nginx)) { plan skip_all => "no $tool" unless has_program($tool) }
my ($posts, $indexes) = ($ENV{POSTS} // 1000, $ENV{INDEXES} // 60);

sub free_port { my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or BAIL_OUT("no port: $!"); $s->sockport }
sub openssl { my $r = run('openssl', @_); $r->{status} == 0 or BAIL_OUT("openssl @_: $r->{err}") }
openssl(qw(req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 9 -subj /CN=localhost -addext), 'subjectAltName=DNS:localhost,IP:127.0.0.1', qw(
        -keyout key.pem -out cert.pem));
write_file('both.pem', read_file('cert.pem') . read_file('key.pem'));
my @trust = ('--allow-all', '--cacert', 'cert.pem');

# A listener whose queue is full: what comes to it is dropped, as by a host that is away.
my $dead;
socket($dead, PF_INET, SOCK_STREAM, 0) && bind($dead, pack_sockaddr_in(0, inet_aton('127.0.0.2'))) && listen($dead, 0) or BAIL_OUT("no socket: $!");
my ($dead_port) = unpack_sockaddr_in(getsockname $dead);
my @fill;
for (1 .. 4) {
    socket(my $s, PF_INET, SOCK_STREAM, 0) or BAIL_OUT("no socket: $!");
    $s->blocking(0);
    connect $s, pack_sockaddr_in($dead_port, inet_aton('127.0.0.2'));
    push @fill, $s;
}

# ---- nginx ----

my %port = map { $_ => free_port() } qw(h2 h1 plain haproxy nghttpd);
mkdir 'files';
my @sizes = (0, 1, 1000, 2000, 5000, 16384, 20000, 65536, 135168, 300000);
write_file("files/$_", 'a' x $_) for @sizes;
my $headers = join '', map { "add_header X-Pad-$_ '" . ('p' x 1000) . "';\n" } 1 .. 60;
my $tls = "ssl_certificate $dir/cert.pem;\nssl_certificate_key $dir/key.pem;\nroot $dir/files;\n"
    . "location /post { return 200 '{}'; }\nlocation /headers { $headers return 200 'padded'; }\n";
my $user = $> == 0 ? 'user root;' : '';
write_file('nginx.conf', "$user daemon off; worker_processes 1; pid $dir/nginx.pid; error_log $dir/nginx.log;\nevents { worker_connections 2000; }\n"
        . "http { log_format n '\$server_protocol \$http_x_n';\naccess_log off; large_client_header_buffers 4 16k;\n"
        . (join '', map { "${_}_temp_path $dir/t-$_;\n" } qw(client_body proxy fastcgi uwsgi scgi))
        . "server { listen 127.0.0.1:$port{h2} ssl http2; keepalive_requests 50; access_log $dir/h2.log n; $tls }\n"
        . "server { listen 127.0.0.1:$port{h1} ssl; keepalive_timeout 1s; access_log $dir/h1.log n; $tls }\n"
        . "server { listen 127.0.0.1:$port{plain}; location / { return 200 '{}'; } } }\n");
start(qr/()/, 'nginx', '-e', "$dir/nginx.log", '-p', $dir, '-c', "$dir/nginx.conf") or BAIL_OUT('nginx');
sub wait_port {
    my ($port) = @_;
    my $end = time + 20;
    while (time < $end) { return 1 if IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port"); select undef, undef, undef, 0.05 }
    BAIL_OUT("nothing listens on $port: " . (-e 'nginx.log' ? read_file('nginx.log') : ''));
}
wait_port($_) for @port{qw(h2 h1 plain)};

# ---- a host that drops packets ----

write_file('dead.lua', <<'LUA');
local http, task = require "moongate.http", require "moongate.task"
local dead, good, how = ...
if how == "deadline" then
  for _ = 1, 8 do
    local _, err = http.get(dead, { deadline = 0.3 })
    assert(not err.message:find "Rate limited", err.message) -- its time to connect ends in the same moment
  end
else
  local t = task.spawn(function() http.get(dead) end)
  task.sleep(0.2)
  t:cancel()
end
for _ = 1, 3 do assert(http.client({ headers = { ["X-New"] = "1" } }):get(good, { deadline = 5 })) end
assert(not http.get(dead, { deadline = 0.3 }))
for _ = 1, 3 do assert(http.get(good:gsub("127.0.0.1", "localhost"), { deadline = 5 })) end
LUA
for my $how (qw(deadline cancel)) {
    my $r = moon('--allow-all', 'run', 'dead.lua', "http://127.0.0.2:$dead_port/", "http://127.0.0.1:$port{plain}/", $how);
    is($r->{status}, 0, "a connect that is cut off ($how) ends no other connection") or diag($r->{err});
}

# ---- requests that can't be repeated ----

write_file('posts.lua', <<'LUA');
local http, task = require "moongate.http", require "moongate.task"
local url, count, pause = ...
count, pause = math.tointeger(tonumber(count)), tonumber(pause)
local client = http.client { deadline = 30 }
local next_one, failed, tasks = 0, {}, {}
for t = 1, 32 do
  tasks[t] = task.spawn(function()
    while next_one < count do
      next_one = next_one + 1
      local n = next_one
      if n % 200 == 0 then task.sleep(pause) end
      local r, err = client:post(url, { headers = { ["X-N"] = tostring(n) }, body = "body" })
      if not r then failed[#failed + 1] = err.outcome .. ": " .. err.message end
    end
  end)
end
for t = 1, 32 do tasks[t]:join() end
print(#failed, failed[1] or "")
LUA
for my $case ([ 'h2', '--http2=always', 'a connection that ends after 50 requests' ], [ 'h1', '--http2=never', 'a keep-alive of a second' ]) {
    my ($name, $flag, $what) = @$case;
    my $r = moon({ seconds => 300 }, $flag, @trust, 'run', 'posts.lua', "https://localhost:$port{$name}/post", $posts, 1);
    like($r->{out}, qr/^0\t/, "$name: $posts POSTs without a key, $what: all answered") or diag($r->{err});
    my %seen;
    $seen{ (split)[1] }++ for slurp_lines("$name.log");
    is(scalar(keys %seen), $posts, "$name: each was received");
    is(scalar(grep { $_ > 1 } values %seen), 0, "$name: none twice");
}
like((slurp_lines('h2.log'))[0], qr{^HTTP/2}, 'over HTTP/2 as asked for');

# ---- answers of every size ----

write_file('sizes.lua', <<'LUA');
local http, task = require "moongate.http", require "moongate.task"
local base, sizes = ..., { select(2, ...) }
local client = http.client { breaker = false, retry = false, deadline = 20 }
local wrong = {}
local function get(size)
  local r, err = client:get(base .. size)
  local ok = r and (size == "headers" and #r.headers["x-pad-60"] == 1000 or #r.body == tonumber(size))
  if not ok then wrong[#wrong + 1] = size .. ": " .. (r and #r.body or err.message) end
end
for _, size in ipairs(sizes) do get(size) end
local tasks = {}
for i = 1, 200 do tasks[i] = task.spawn(function() get(sizes[i % #sizes + 1]) end) end
for i = 1, 200 do tasks[i]:join() end
print(#wrong, wrong[1] or "")
LUA
sub sizes {
    my ($what, $port, $flag, @more) = @_;
    my $r = moon({ seconds => 120 }, $flag, @trust, 'run', 'sizes.lua', "https://localhost:$port/", @sizes, @more);
    like($r->{out}, qr/^0\t/, "$what, $flag: every answer arrives") or diag($r->{err});
}
sizes('nginx', $port{h2}, "--http2=$_", 'headers') for qw(auto always never);
like(moon('--http2=perhaps', 'run', 'sizes.lua')->{err}, qr/--http2 must be auto, always or never/, '--http2 takes three words');

SKIP: {
    skip 'no nghttpd', 2 unless has_program('nghttpd');
    start(qr/()/, 'nghttpd', '-d', "$dir/files", '--address=127.0.0.1', $port{nghttpd}, "$dir/key.pem", "$dir/cert.pem") or BAIL_OUT('nghttpd');
    wait_port($port{nghttpd});
    sizes('nghttpd, which speaks HTTP/2 alone', $port{nghttpd}, "--http2=$_") for qw(auto always);
}

# ---- many connections, one of the hosts dead ----

SKIP: {
    skip 'no haproxy', 6 unless has_program('haproxy');
    my $sim = start_sim('--rate-limit', 0);
    my ($sim_port) = $sim->{url} =~ /:(\d+)$/;
    write_file('haproxy.cfg', "defaults\nmode http\ntimeout connect 5s\ntimeout client 30s\ntimeout server 30s\noption httpclose\n"
            . "frontend f\nbind 127.0.0.1:$port{haproxy}\ndefault_backend b\nbackend b\nserver s 127.0.0.1:$sim_port\n");
    start(qr/()/, 'haproxy', '-f', 'haproxy.cfg') or BAIL_OUT('haproxy');
    wait_port($port{haproxy});
    my %env = (%{ $sim->{env} }, GENESYSCLOUD_REGION => "http://127.0.0.1:$port{haproxy}");
    my %took;
    for my $webhook (0, 1) {
        mkdir "job-$webhook";
        my @files = map { index_file("job-$webhook/i$webhook-$_", indexId => "i$webhook-$_") =~ s{.*/}{}r } 1 .. $indexes;
        my $url = "http://127.0.0.2:$dead_port/";
        write_file("job-$webhook/moongate.lua", $webhook ? "return { webhooks = { team = { url = '$url' } } }" : 'return {}');
        my $r = moon({ env => \%env, dir => "job-$webhook", seconds => 300 }, '-q', 'deploy-index', '--concurrency', 4, '--allow-http=127.0.0.2', @files);
        is($r->{status}, 0, "$indexes indexes" . ($webhook ? ', while a webhook drops packets' : '')) or diag(substr $r->{err}, 0, 2000);
        $took{$webhook} = $r->{elapsed};
        like($r->{out}, qr/^$indexes indexes: $indexes created/m, 'each created') or diag(substr $r->{out}, 0, 500);
    }
    my ($written, $first) = (0, undef);
    for my $event (map { json($_) } slurp_lines((glob 'job-1/.moongate/audit*.jsonl')[0])) {
        $written++ if $event->{action} eq 'index_confirm';
        $first //= $written if $event->{action} eq 'webhook_delivery';
    }
    cmp_ok($first // 0, '>', 20, 'and the job goes on while the first message waits for a connection');
    my $connect = $took{0} < 2 ? 4 : 0.5; # a job that is over before the time to connect waits for its messages
    cmp_ok($took{1}, '<', $took{0} * 1.5 + $connect, '... and is not held up');
    diag(sprintf '%d indexes: %.1f s, with the webhook %.1f s', $indexes, @took{ 0, 1 });
}
done_testing;
