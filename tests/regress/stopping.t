#!/usr/bin/env perl
# On a terminal the first Ctrl-C says that it was heard: the step under way may take a while.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../e2e/lib";
use Moon;
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => 'no tmux here' if !`tmux -V 2>/dev/null`;
my $script = write_file('slow.lua', <<'LUA');
return require "moongate.workflow".define { name = "slow", summary = "takes a while", run = function(run)
  run:step("wait", function()
    require "moongate.log".warn("it is begun")
    require "moongate.task".sleep(2)
    return true
  end)
  run:sleep(60)
end }
LUA
my @tmux = ('tmux', '-S', "$dir/tmux", '-f', '/dev/null');

sub see {
    my ($want, $name) = @_;
    my ($end, $text) = (time + 15, '');
    while (time < $end && $text !~ $want) {
        $text = run(@tmux, 'capture-pane', '-p', '-t', 'm')->{out};
        sleep 0.02;
    }
    like($text, $want, $name);
}
run(@tmux, 'new-session', '-d', '-s', 'm', '-x', 400, '-y', 20,
    "GENESYSCLOUD_REGION=http://127.0.0.1:9 GENESYSCLOUD_ACCESS_TOKEN=x $moongate --state $dir/s run $script; echo ended: \$?; exec cat");
see(qr/it is begun/, 'a step is under way');
run(@tmux, 'send-keys', '-t', 'm', 'C-c');
see(qr/stopping at the next safe point[^\n]*\n\s*\z/, 'it is told at once that it stops');
see(qr/interrupted\n.*runs resume \S+\nended: 130/s, 'and stops behind the step');
run(@tmux, 'kill-server');
done_testing;
