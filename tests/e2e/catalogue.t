#!/usr/bin/env perl
# The catalogue: workflows in the program, in ./workflows and in $MOONGATE_PATH are commands, listed and shown.
use strict;
use warnings;
use File::Path qw(make_path);
use FindBin;
use lib "$FindBin::Bin/lib";
use Moon;
use Test::More;

make_path("$dir/here/workflows", "$dir/more");
sub workflow {
    my ($path, $name, $more) = @_;
    write_file($path, qq(local workflow = require "moongate.workflow"
return workflow.define {
  name = "$name", summary = "does $name", $more
  args = { { "file", "what it takes" } },
  run = function(run, args) run:say("$name of %s", args.file) end,
}
));
}
workflow("$dir/here/workflows/my_job.lua", 'my-job', 'author = "Ann", categories = { "read", "index" },');
workflow("$dir/here/workflows/deploy_index.lua", 'deploy-index', '');
workflow("$dir/more/my_job.lua", 'my-job', '');
workflow("$dir/more/other-job.lua", 'other-job', 'categories = { "write", "destructive" },');
write_file("$dir/more/plain.lua", "print 'a plain script ran'\n");
write_file("$dir/more/broken.lua", "local x = = 1\n");
my %env = (MOONGATE_PATH => "$dir/nowhere:$dir/more/");
sub here { moon({ dir => "$dir/here", env => {%env} }, @_) }

my $r = here('list', '--json');
my @list = @{ json($r->{out}) };
my %of = map { $_->{place} => $_ } @list;
is($r->{status}, 0, 'list');
ok((grep { $_->{place} eq 'moongate' && $_->{name} eq 'route-prompts' } @list), 'bundled ones are there');
is($of{'workflows/my_job.lua'}{author}, 'Ann', 'those of ./workflows');
is($of{"$dir/more/other-job.lua"}{name}, 'other-job', 'those of $MOONGATE_PATH');
is($of{"$dir/more/my_job.lua"}{hidden_by}, 'workflows/my_job.lua', 'the first found hides the second');
is($of{'workflows/deploy_index.lua'}{hidden_by}, "moongate's own", 'and the program hides a file of its name');
is($of{"$dir/more/plain.lua"}{fault}, 'a plain script', 'a plain script is not run to find out what it is');
like($of{"$dir/more/broken.lua"}{fault}, qr/unexpected symbol/, 'one that does not load says why');
unlike($r->{out} . $r->{err}, qr/a plain script ran/, 'nothing is run');

is_deeply([map { $_->{name} } @{ json(here('list', '--json', '--category', 'read')->{out}) }], [qw(describe get my-job plan watch)], '--category');
is_deeply([map { $_->{name} } @{ json(here('list', '--json', '--category', 'write', '--category', 'destructive')->{out}) }],
    ['other-job'], 'of all that are named');
like(here('list', '--category', 'raed')->{err}, qr/did you mean 'read'/, 'one that is none');
like(here('list')->{out}, qr/^my-job +does my-job \[read, index\] \(workflows\/my_job\.lua\)$/m, 'list, for people');
is(here('list', '--names')->{out}, join('', map { "$_\n" } qw(api apply broken configure-model delete deploy-index describe get my-job other-job plain plan
    promote-template register-model route-prompts watch)), 'names alone');

$r = here('show', 'my-job');
like($r->{out}, qr/does my-job.*where +workflows\/my_job\.lua.*author +Ann.*categories +read, index.*FILE +what it takes.*Exit status/s, 'show');
is(json(here('show', 'deploy-index', '--json')->{out})->{place}, 'moongate', 'show, of a bundled one');
is(json(here('show', 'workflows/deploy_index.lua', '--json')->{out})->{name}, 'deploy-index', 'show, of a file');
is(here('show', 'my-jbo')->{status}, 3, 'show, of none');
like(here('show', 'my-jbo')->{err}, qr/did you mean 'my-job'/, 'and what was meant');

is(here('--sim', 'my-job', 'x')->{out}, "my-job of x\n", 'it is a command');
is(here('--sim', 'run', 'other-job', 'x')->{out}, "other-job of x\n", 'run takes the name, too');
like(here('help', 'my-job')->{out}, qr/^Usage: moongate my-job FILE/, 'help knows it');
like(here('my-job', '--help')->{out}, qr/^Usage: moongate my-job FILE/, 'and --help');
like(here('my-jub')->{err}, qr/unknown command 'my-jub' \(did you mean 'my-job'\?\)/, 'a wrong name gets the near one');
is(here('--sim', 'my-job')->{status}, 2, 'its arguments are checked');
like(here('--sim', 'deploy-index', '--help')->{out}, qr/vector-store/, 'a command of the program stays what it is');

for my $case (['"raed"', "unknown category 'raed' \\(did you mean 'read'"], ['"read", "write"', "'read' is for a workflow that changes nothing"], ['"A B"', 'lower-case words']) {
    workflow("$dir/bad.lua", 'bad', "categories = { $case->[0] },");
    like(moon('run', "$dir/bad.lua", 'x')->{err}, qr/^moongate: error: workflow\.define: .*$case->[1]/, "categories: $case->[0]");
}
done_testing;
