# SPDX-License-Identifier: MIT
# Hashes, patterns, sorting, packing and formats of Perl.
use strict;
use warnings;
use List::Util qw(sum max first);
use POSIX qw(floor strftime);
use Digest::SHA qw(sha256_hex);

my (%count, @lines);
open(my $file, '<', $ARGV[0]) or die "no text: $!";
while (<$file>) {
	chomp;
	push @lines, $_;
	$count{$_}++ for /\b([a-z]+)\b/g;
}
close($file);
printf "%-8s %5d\n", $_, $count{$_} for sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count;
print sum(map { length } @lines), ' ', max(map { (split)[2] } @lines), "\n";
print join(',', map { sprintf '%x', $_ } unpack('N*', pack('C*', 1 .. 16))), "\n";
print sha256_hex(join "\n", @lines), ' ', floor(-3.5), ' ', strftime('%F', gmtime(86400)), "\n";
(my $changed = $lines[3]) =~ s/(\w+)$/\U$1/;
print "$changed ", scalar reverse('abc'), ' ', first { $_ > 10 } (5, 11, 20);
print "\n";
print "caught: $@" unless eval { die "thrown\n" };
open(my $missing, '<', '/nowhere/at/all') or print "$!\n";
my @big = map { { key => $_ % 97, value => $_ } } 1 .. 50000;
my %sum;
$sum{ $_->{key} } += $_->{value} for @big;
print join(' ', map { $sum{$_} } sort { $a <=> $b } keys %sum), "\n";
exit 5;
