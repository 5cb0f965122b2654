#include "cstp/data/source_group.h"

#include <gtest/gtest.h>

namespace cstp {
namespace {

TEST(SourceGroup, IsTheGroupOfUcf101Names) {
  EXPECT_EQ(source_group("/data/HandstandPushups/v_HandStandPushups_g08_c01.avi"), "v_HandStandPushups_g08");
  EXPECT_EQ(source_group("v_YoYo_g25_c12"), "v_YoYo_g25");  // lists of frame folders have no extension
  EXPECT_EQ(source_group("v_YoYo_g25_c12.mp4"), source_group("v_YoYo_g25_c01.avi"));
  EXPECT_NE(source_group("v_YoYo_g24_c01.avi"), source_group("v_YoYo_g25_c01.avi"));
}

TEST(SourceGroup, IsTheSourceVideoOfHmdb51Names) {
  EXPECT_EQ(source_group("brush_hair/April_09_brush_hair_u_nm_np1_ba_goo_0.avi"), "April_09_brush_hair");
  EXPECT_EQ(source_group("April_09_brush_hair_h_cm_np2_fr_med_3.avi"), "April_09_brush_hair");
  EXPECT_EQ(source_group("a/#20_Rhythm_clap_u_nm_np1_fr_goo_2.avi"), "#20_Rhythm_clap");
  EXPECT_EQ(source_group("!#&(odd)_;[name]+'_cart_f_cm_np1_ri_med_0.avi"), "!#&(odd)_;[name]+'_cart");
}

TEST(SourceGroup, IsEmptyWhereTheNameShowsNone) {
  for (const char* name : {"0001.mp4", "-3jk_0000_000010.mp4", "v_YoYo_c01.avi", "v_YoYo_g01.avi", "g01_c01.avi",
                           "clip_u_nm_np1_ba_goo_x.avi", "clip_u_nm_np_ba_goo_0.avi", "_0.avi", "", "a/b/"}) {
    EXPECT_EQ(source_group(name), "") << name;
  }
}

}  // namespace
}  // namespace cstp
