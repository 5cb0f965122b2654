# Sourced by what wants videos as the web has them.
# web_videos FOLDER NAME SIZE [COUNT]: NAME_0.mp4, ..., four if not told, of 10 s at 30 fps: H.264, a key frame every 250
# frames, three B-frames
web_videos() {
  mkdir -p "$1"
  local i=0 source file
  for source in "testsrc2=size=$3:rate=30" "mandelbrot=size=$3:rate=30" "life=size=$3:rate=30:mold=10:ratio=0.1:seed=7" "testsrc=size=$3:rate=30,rotate=t/3"; do
    [ $i -lt "${4:-4}" ] || break
    file=$1/$2_$((i++)).mp4
    [ -f "$file" ] || { ffmpeg -v error -y -f lavfi -i "$source,noise=alls=6:allf=t:all_seed=5,format=yuv420p" -t 10 -c:v libx264 -preset medium \
      -crf 23 -g 250 -bf 3 -threads 1 -f mp4 "$file.part" && mv "$file.part" "$file"; }
  done
}
