#!/usr/bin/env perl
# Why TLS failed: servers of others (nginx, openssl) with certificates that openssl made, each wrong in a way of its own. The message says which
# way, a hint says what to do, and what can't succeed is tried once.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use Moon;
use Test::More;

for my $tool (qw(openssl nginx)) {
    plan skip_all => "no $tool" unless grep { -x "$_/$tool" } split(/:/, $ENV{PATH}), '/usr/sbin';
}
$ENV{PATH} .= ':/usr/sbin';

# ---- certificates ----

sub openssl { my $r = run('openssl', @_); $r->{status} == 0 or BAIL_OUT("openssl @_: $r->{err}") }
sub root_ca {
    my ($name) = @_;
    openssl(qw(req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 9 -subj), "/CN=$name", '-keyout', "$name.key", '-out', "$name.pem",
        '-addext', 'basicConstraints=critical,CA:TRUE');
}

# cert(name, ca, {alt, from, to, ca = it is a CA itself, rsa})
sub cert {
    my ($name, $ca, %o) = @_;
    my @key = $o{rsa} ? qw(-newkey rsa:2048) : qw(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1);
    openssl('req', '-new', @key, '-nodes', '-subj', "/CN=$name", '-keyout', "$name.key", '-out', "$name.csr");
    write_file("$name.cnf", "[ca]\ndefault_ca=c\n[c]\nnew_certs_dir=.\ndatabase=$name.idx\nserial=$name.srl\ndefault_md=sha256\npolicy=p\n"
            . "unique_subject=no\n[p]\ncommonName=supplied\n[x]\n" . ($o{ca} ? "basicConstraints=critical,CA:TRUE\n" : "subjectAltName=" . ($o{alt} // 'DNS:localhost') . "\n"));
    write_file("$name.idx", '');
    write_file("$name.srl", sprintf "%04X\n", 4096 + int rand 60000);
    openssl('ca', '-batch', '-config', "$name.cnf", '-extensions', 'x', '-cert', "$ca.pem", '-keyfile', "$ca.key", '-in', "$name.csr", '-out', "$name.pem", '-notext',
        '-startdate', $o{from} // '20200101000000Z', '-enddate', $o{to} // '20491231000000Z');
}
root_ca('ca');
root_ca('other');
cert('good', 'ca');
cert('rsa', 'ca', rsa => 1);
cert('expired', 'ca', to => '20210101000000Z');
cert('early', 'ca', from => '20480101000000Z');
cert('elsewhere', 'ca', alt => 'DNS:elsewhere.example');
cert('unknown', 'other');
cert('between', 'ca', ca => 1);
cert('below', 'between');
cert('client', 'ca');
openssl(qw(req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 9 -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout self.key -out self.pem));
write_file('chain.pem', read_file('unknown.pem') . read_file('other.pem'));
openssl(qw(ec -aes256 -passout pass:open-sesame-7 -in client.key -out locked.key));
write_file('passphrase', "open-sesame-7\n");
write_file('wrong-passphrase', "close-sesame-7\n");

# ---- servers ----

# nginx inherits the listening sockets (its variable NGINX), so that nobody else takes a port meanwhile.
$^F = 200;
my (%port, @listening);
sub listening { push @listening, IO::Socket::INET->new(Listen => 50, LocalAddr => '127.0.0.1') // BAIL_OUT("no port: $!"); $listening[-1]->sockport }
my $servers = '';
# A server block of its own for each: name, certificate, key, and more.
sub server {
    my ($name, $cert, $key, $more) = @_;
    $port{$name} = listening();
    my $tls = $cert ? " ssl;\nssl_certificate $dir/$cert;\nssl_certificate_key $dir/$key" : '';
    $servers .= "server {\nlisten 127.0.0.1:$port{$name}$tls;\n" . ($more // '') . "\nlocation / { return 200 '{}'; }\n}\n";
}
server($_, "$_.pem", "$_.key") for qw(good expired early elsewhere unknown below self);
server('chain', 'chain.pem', 'unknown.key');
server('old', 'good.pem', 'good.key', 'ssl_protocols TLSv1.1; ssl_ciphers DEFAULT@SECLEVEL=0;');
server('cipher', 'rsa.pem', 'rsa.key', 'ssl_protocols TLSv1.2; ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256;');
server('plain');
server('mutual', 'good.pem', 'good.key', "ssl_client_certificate $dir/ca.pem; ssl_verify_client on;");
write_file('nginx.conf', "daemon off; worker_processes 1; pid $dir/nginx.pid; error_log $dir/nginx.log;\nevents {}\nhttp { access_log $dir/access.log;\n"
        . (join '', map { "${_}_temp_path $dir/t-$_;\n" } qw(client_body proxy fastcgi uwsgi scgi)) . "$servers}\n");
my $nginx = start({ env => { NGINX => join('', map { fileno($_) . ';' } @listening) } }, qr/()/, 'nginx', '-e', "$dir/nginx.log", '-p', $dir, '-c', "$dir/nginx.conf") or BAIL_OUT('nginx');
for (1 .. 500) { last if IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port{mutual}"); select undef, undef, undef, 0.02 }

# ---- what is said ----

write_file('ask.lua', <<'LUA');
local r, e = require "moongate.http".request { method = "GET", url = ..., deadline = 20 }
print(r and r.status or ("%s|%d|%s|%s"):format(e.code, e.attempts, e.message, e.hint or ""))
LUA
sub ask {
    my ($url, $o, @flags) = @_;
    my $r = moon($o // {}, '--allow-all', @flags, 'run', 'ask.lua', $url);
    chomp(my $out = $r->{out});
    diag($r->{err}) if $r->{err};
    return $out;
}
sub said {
    my ($name, $url, $code, $message, $hint, $o, @flags) = @_;
    my $out = ask($url, $o, @flags ? @flags : ('--cacert', 'ca.pem'));
    like($out, qr/\A$code\|1\|[^|]*$message[^|]*\|[^|]*$hint/, $name);
}
my $at = sub { "https://localhost:$port{$_[0]}/" };

is(ask($at->('good'), {}, '--cacert', 'ca.pem'), 200, 'a certificate of a CA that is given');
mkdir 'cas';
mkdir 'cas/..2026';
write_file('cas/README', "what lies here\n");
write_file('cas/..2026/bad.pem', "-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n");
like(ask($at->('good'), {}, '--cacert', 'cas'), qr/the folder has no file of certificates/, 'a folder without');
write_file('cas/own.crt', read_file('ca.pem'));
is(ask($at->('good'), {}, '--cacert', 'cas'), 200, 'a folder of certificates, with others beside them');
write_file('cas/zz.pem', "-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n");
like(ask($at->('good'), {}, '--cacert', 'cas'), qr{cas/zz\.pem: certificate 1 can't be read}, 'a damaged one');
said('expired',          $at->('expired'),   'tls', 'has expired',                   'clock \(it says 20');
said('not yet valid',    $at->('early'),     'tls', 'is not yet valid',              'clock');
said('another host',     $at->('elsewhere'), 'tls', "another host name than 'localhost'", 'host name that the certificate has');
said('self-signed',      $at->('self'),      'tls', 'is self-signed',                '--cacert');
said('unknown CA',       $at->('unknown'),   'tls', 'unknown issuer',                '--cacert');
said('unknown CA, sent', $at->('chain'),     'tls', 'unknown CA',                    '--cacert');
said('a chain with a gap', $at->('below'),   'tls', 'intermediate certificate is missing', 's_client');
said('no CA is given',   $at->('good'),      'tls', 'unknown issuer',                '--cacert', {}, '-q');
said('TLS 1.1 only',     $at->('old'),       'tls', 'no TLS version in common',      'TLS 1\.2');
said('no common cipher', $at->('cipher'),    'tls', 'no cipher in common',           's_client');
said('plain HTTP on an https port', $at->('plain'), 'tls', 'does not speak TLS on this port', 'http://');
said('https on a plain port', "http://localhost:$port{good}/", 'http', 'this port speaks TLS', 'https://');
said('a client certificate is wanted', $at->('mutual'), 'http', 'wants a client certificate', '--cert');

for my $version (qw(tls1_2 tls1_3)) {
    my $s = start(qr/ACCEPT 127\.0\.0\.1:(\d+)/, qw(openssl s_server -accept 127.0.0.1:0 -www -cert good.pem -key good.key -CAfile ca.pem -Verify 2 -verify_return_error), "-$version")
        or BAIL_OUT('s_server');
    # In TLS 1.3 it comes behind the request, and may be lost when the connection is reset: then the request is sent again.
    like(ask("https://localhost:$s->{ready}/", {}, '--cacert', 'ca.pem'), $version eq 'tls1_2' ? qr/^tls\|1\|.*client certificate.*--cert/ : qr/^tls\|\d+\|.*client certificate.*--cert/,
        "... by an alert, $version");
    kill TERM => $s->{pid};
}

# ---- CAs ----

is(ask($at->('good'), { env => { SSL_CERT_FILE => 'ca.pem' } }), 200, 'SSL_CERT_FILE');
mkdir 'cas';
my $hash = run(qw(openssl x509 -noout -hash -in ca.pem))->{out} =~ s/\s//gr;
write_file("cas/$hash.0", read_file('ca.pem'));
is(ask($at->('good'), { env => { SSL_CERT_DIR => 'cas' } }), 200, 'SSL_CERT_DIR');
for my $name (qw(good unknown)) {
    is(ask($at->($name), { env => { SSL_CERT_FILE => 'other.pem' } }, '--cacert', 'ca.pem'), 200, "--cacert adds to the others: $name");
}
like(ask($at->('good'), {}, '--cacert', 'good.key'), qr/^tls\|\d\|[^|]*--cacert good\.key: not a file of certificates/, 'a file that holds none');
like(ask($at->('good'), {}, '--cacert', 'nowhere.pem'), qr/^tls\|\d\|[^|]*nowhere\.pem/, 'a file that is not there');
like(ask($at->('good'), { env => { SSL_CERT_FILE => 'nowhere.pem' } }), qr/^tls\|\d\|[^|]*SSL_CERT_FILE: nowhere\.pem/, 'nor SSL_CERT_FILE');

# ---- the client certificate ----

my %client = (GENESYSCLOUD_OAUTHCLIENT_ID => 'tls-client-1', GENESYSCLOUD_OAUTHCLIENT_SECRET => 'tls-secret-22');
my $gateway = { env => { %client, GENESYSCLOUD_REGION => "https://localhost:$port{mutual}" } };
my @pair = qw(--cacert ca.pem --cert client.pem --key);
is(ask($at->('mutual'), $gateway, @pair, 'client.key'), 200, 'the gateway is shown it');
said('nobody else is', $at->('mutual'), 'http', 'wants a client certificate', 'gateway and its login host only',
    { env => { %client, GENESYSCLOUD_REGION => "https://localhost:$port{good}" } }, @pair, 'client.key');
said('a key that is encrypted', $at->('mutual'), 'tls', 'locked\.key is encrypted', '--key-passphrase-file', $gateway, @pair, 'locked.key');
is(ask($at->('mutual'), $gateway, @pair, 'locked.key', '--key-passphrase-file', 'passphrase'), 200, 'its passphrase from a file');
is(ask($at->('mutual'), { env => { %{ $gateway->{env} }, MOONGATE_KEY_PASSPHRASE => 'open-sesame-7' } }, @pair, 'locked.key'), 200, 'or a variable');
said('a wrong one', $at->('mutual'), 'tls', 'passphrase does not fit', 'passphrase', $gateway, @pair, 'locked.key', '--key-passphrase-file', 'wrong-passphrase');
said("another one's key", $at->('mutual'), 'tls', 'does not belong to', '--cert and --key', $gateway, @pair, 'good.key');
said('no such certificate', $at->('mutual'), 'tls', 'no client certificate could be read from none\.pem', '--cert', $gateway,
    qw(--cacert ca.pem --cert none.pem --key client.key));
said('one that it does not take', $at->('mutual'), 'http', 'did not accept the client certificate', '--cert', $gateway,
    qw(--cacert ca.pem --cert self.pem --key self.key));

# An expired one, which servers refuse in ways of their own: with an answer, with an alert, or without a word.
my @old = qw(--cacert ca.pem --cert expired.pem --key expired.key);
said('an expired one', $at->('mutual'), 'http', 'did not accept the client certificate', 'expired on 2021-01-01', $gateway, @old);
my $curt = listening();
my $closes = fork // BAIL_OUT('fork');
if (!$closes) { while (my $c = $listening[-1]->accept) { sysread $c, my $hello, 1; close $c } POSIX::_exit(0) }
like(ask("https://localhost:$curt/", { env => { %client, GENESYSCLOUD_REGION => "https://localhost:$curt" } }, @old, '--deadline', 1),
    qr/^tls\|\d+\|[^|]*closed the connection during the TLS handshake[^|]*\|The client certificate expired\.pem expired on 2021-01-01/, 'without a word');
kill KILL => $closes;
waitpid $closes, 0;
for my $version (qw(tls1_2 tls1_3)) {
    my $s = start(qr/ACCEPT 127\.0\.0\.1:(\d+)/, qw(openssl s_server -accept 127.0.0.1:0 -www -cert good.pem -key good.key -CAfile ca.pem -Verify 2 -verify_return_error), "-$version")
        or BAIL_OUT('s_server');
    my $url = "https://localhost:$s->{ready}";
    like(ask("$url/", { env => { %client, GENESYSCLOUD_REGION => $url } }, @old),
        qr/^tls\|\d+\|[^|]*refused the client certificate expired\.pem[^|]*\|[^|]*expired on 2021-01-01/, "by an alert, $version");
    kill TERM => $s->{pid};
}
my $odd = start(qr/ACCEPT 127\.0\.0\.1:(\d+)/, qw(openssl s_server -accept 127.0.0.1:0 -www -cert good.pem -key good.key -alpn spdy/3)) or BAIL_OUT('s_server');
said('no HTTP', "https://localhost:$odd->{ready}/", 'tls', 'neither HTTP/1\.1 nor HTTP/2', 'port');
kill TERM => $odd->{pid};

# ---- commands and doctor say the same ----

for my $case ([ expired => qr/has expired/ ], [ plain => qr/does not speak TLS/ ], [ mutual => qr/wants a client certificate/ ]) {
    my ($name, $words) = @$case;
    my %env = (%client, GENESYSCLOUD_REGION => "https://localhost:$port{$name}", GENESYS_CLOUD_VECTOR_STORE_ID => 'v');
    my $r = moon({ env => \%env }, '--cacert', 'ca.pem', '--json', 'deploy-index', index_file('orders'));
    my $said = eval { json($r->{out})->{results}[0]{error} // json($r->{out})->{error} } // {};
    like($said->{message} // $r->{out}, $words, "$name: a command");
    ok($said->{hint}, 'with a hint') or diag($r->{out});
    $r = moon({ env => \%env }, '--cacert', 'ca.pem', 'doctor');
    like($r->{out}, qr/^FAIL  API host [^\n]*$words[^\n]*\n +hint: /m, 'doctor');
}
my %env = (%client, GENESYSCLOUD_REGION => "https://localhost:$port{good}", MOONGATE_LOGIN_URL => "https://localhost:$port{self}");
write_file('moongate.lua', qq(return { webhooks = { a = { url = "https://localhost:$port{expired}/hook" } } }));
my $said = moon({ env => \%env }, '--cacert', 'ca.pem', 'doctor')->{out};
like($said, qr/^FAIL  login host [^\n]*is self-signed/m, 'doctor looks at the login host');
like($said, qr/^FAIL  webhook host [^\n]*has expired/m, 'and at the webhooks');
like($said, qr/^ok    API host [^\n]*verified by ca\.pem and the system's CAs/m, 'and says which CAs count');
done_testing;
