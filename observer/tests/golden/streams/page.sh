# What page.jsonl holds: supervisors of two versions, each verdict, names that are markup.
programs=$(mktemp -d)
trap 'rm -r "$programs"' EXIT
name() { mkdir -p "$programs/$1" && cp ./testbed "$programs/$1/$2" && echo "$programs/$1/$2"; }
old=$(name 1 openshell-sandbox)
new=$(name 2 openshell-sandbox)
echo >>"$new"
crun=$(name 1 crun)
bwrap=$(name 1 bwrap)
tool=$(name 1 tool)
markup=$(name 1 '<img src=x onerror=alert(1)>')
turned=$(name 1 "$(printf '\342\200\256gpj.exe')")
broken=$(name 1 "$(printf 'a\n\033[31m"\047&')")

for supervisor in "$old" "$crun"; do
    "$supervisor" do sleep 300 fork clear exec /bin/true
done
"$crun" do sleep 300 fork drop chown lower setpcap drop chown exec /bin/true
"$old" do sleep 300 fork lower setuid setuid 0 exec "$tool" do lower setpcap try-clear exec /bin/true
"$new" do sleep 300 fork lower setpcap try-clear exec /bin/true
for stranger in "$turned" "$broken" "$markup"; do
    "$stranger" do lower setpcap fork clear
done
"$new" do sleep 300 fork lower setpcap clear
"$bwrap" do sleep 300 fork lower setpcap try-clear sleep 9000 exit 0 &
sleep 1
exit 0
